"""Films as so many components of their blocks give them back, on time not learned from."""

from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange

from subtr.baselines import BlockPCARival
from subtr.blocks import Blocks
from subtr.clock import Clock
from subtr.datasets.simulated import generated_film
from subtr.items import consecutive
from subtr.splits import Split
from subtr.stimulus.media import probe
from subtr.stimulus.video import pictures_of_media
from subtr.study import Study

TR_S, GENERATED_S, SEED = 1.5, 720.0, 0
BLOCK, N_BLOCKS = (9, 8), 32
SIZES = [features * N_BLOCKS for features in (60, 96, 144, 216)]


class Shown(NamedTuple):
    """A study, the splits whose test time is judged, and system -> its pictures there."""

    study: Study
    splits: list[Split]
    systems: dict[str, np.ndarray]


def shown_film(media=None):
    """A clip, all of whose time is judged part by part, or the first fifth of the generated film.

    Systems: "original", "averaging", and "block PCA n" for n of ``SIZES``.
    """
    length_s = GENERATED_S if media is None else probe(media).duration_s
    n_judged = 1 if media is None else 5
    media = media or generated_film(GENERATED_S, TR_S, SEED)
    clock = Clock.covering(length_s, TR_S)
    study = Study("film", clock, pictures=np.array(pictures_of_media(media, clock)))
    splits = study.splits(5, 2 * TR_S, 0.1)[:n_judged]
    parts = [by_blocks(study.pictures, split, study) for split in splits]
    systems = {system: np.concatenate([of[system] for of in parts]) for system in parts[0]}
    original = np.concatenate([study.pictures[split.test] for split in splits])
    average = np.rint(original.mean(1, keepdims=True)).astype(np.uint8)
    average = average.repeat(original.shape[1], axis=1)
    return Shown(study, splits, {"original": original, "averaging": average} | systems)


def by_blocks(pictures, split, study):
    """Size -> the test TRs from so many numbers each, of one set of components."""
    frames = rearrange(torch.from_numpy(pictures), "t p h w c -> t p c h w").float() / 255
    blocks = Blocks(frames.shape[1], 3, *frames.shape[3:], *BLOCK)
    rival = BlockPCARival(blocks, SIZES[-1]).fit(frames, consecutive(split.train, study.run_of_tr))
    codes, found = rival.encode(frames[split.test]), {}
    for n_floats in SIZES:
        kept = codes.clone()
        kept[:, n_floats:] = 0
        drawn = blocks.join(blocks.placed(kept) @ rival.synthesis.T + rival.mean).clamp(0, 1)
        drawn = rearrange(drawn, "t p c h w -> t p h w c")
        found[f"block PCA {n_floats}"] = (255 * drawn).round().byte().numpy()
    return found
