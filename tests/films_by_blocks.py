"""Films as so many components of their blocks give them back, on time not learned from."""

from typing import NamedTuple

import numpy as np
import torch

from subtr.baselines import BlockPCARival
from subtr.blocks import Blocks
from subtr.clock import Clock
from subtr.datasets.simulated import generated_film
from subtr.items import consecutive
from subtr.saved_autoencoder import frames_of_pictures, pictures_of_frames
from subtr.splits import Split
from subtr.stimulus.media import probe
from subtr.stimulus.video import pictures_of_media
from subtr.study import Study

TR_S, GENERATED_S, SEED = 1.5, 720.0, 0
BLOCK, N_BLOCKS = (9, 8), 32
# How often a film's own time is learned from, for once that of others: their colours differ.
OWN_WEIGHT = 9
SIZES = [features * N_BLOCKS for features in (60, 96, 144, 216)]


class Shown(NamedTuple):
    """A study, the splits whose test time is judged, and system -> its pictures there."""

    study: Study
    splits: list[Split]
    systems: dict[str, np.ndarray]


def shown_film(media=None, others=()):
    """A clip, all of whose time is judged part by part, or the first fifth of the generated film.

    Systems: "original", "averaging", and "block PCA n" for n of ``SIZES``. Components are learned
    from the rest of the film's time, and from all of ``others``, files of other films.
    """
    length_s = GENERATED_S if media is None else probe(media).duration_s
    n_judged = 1 if media is None else 5
    media = media or generated_film(GENERATED_S, TR_S, SEED)
    clock = Clock.covering(length_s, TR_S)
    study = Study("film", clock, pictures=_pictures(media, clock))
    splits = study.splits(5, 2 * TR_S, 0.1)[:n_judged]
    beside = [_pictures(other, Clock.covering(probe(other).duration_s, TR_S)) for other in others]
    parts = [by_blocks(study.pictures, split, study, beside) for split in splits]
    systems = {system: np.concatenate([of[system] for of in parts]) for system in parts[0]}
    original = np.concatenate([study.pictures[split.test] for split in splits])
    average = np.rint(original.mean(1, keepdims=True)).astype(np.uint8)
    average = average.repeat(original.shape[1], axis=1)
    return Shown(study, splits, {"original": original, "averaging": average} | systems)


def by_blocks(pictures, split, study, others=()):
    """Size -> the test TRs from so many numbers each, of one set of components."""
    frames = frames_of_pictures(pictures)
    blocks = Blocks(frames.shape[1], 3, *frames.shape[3:], *BLOCK)
    films, stretches = [frames], consecutive(split.train, study.run_of_tr) * OWN_WEIGHT
    for other in others:
        stretches.append(np.arange(len(other)) + sum(map(len, films)))
        films.append(frames_of_pictures(other))
    rival = BlockPCARival(blocks, SIZES[-1]).fit(torch.cat(films), stretches)
    codes, found = rival.encode(frames[split.test]), {}
    for n_floats in SIZES:
        kept = codes.clone()
        kept[:, n_floats:] = 0
        drawn = blocks.join(blocks.placed(kept) @ rival.synthesis.T + rival.mean)
        found[f"block PCA {n_floats}"] = pictures_of_frames(drawn)
    return found


def _pictures(media, clock):
    return np.array(pictures_of_media(media, clock))
