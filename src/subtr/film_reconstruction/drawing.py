"""Blocks of TRs through an autoencoder: stimulus to numbers to stimulus."""

from collections.abc import Iterator

import numpy as np
import torch
from tqdm.auto import tqdm

from subtr.decoders.griffin_lim import overlapping
from subtr.film_reconstruction.parts import Parts
from subtr.film_reconstruction.plan import FilmPlan
from subtr.models.saved import SavedAutoencoder
from subtr.stimulus.mel import iter_log_mel
from subtr.stimulus.pictures import PictureSettings, iter_picture_trs

# A decoder may draw a TR with the help of its neighbours' numbers.
_CONTEXT_TRS = 2
_MOST_TRS, _LEAST_TRS = 32, 2 * _CONTEXT_TRS
_MOST_VALUES = 1 << 24


def draw_blocks(plan: FilmPlan, modality: str, parts: Parts) -> None:
    """Keeps the blocks of the film's log-mel or pictures, as the model draws them, in ``parts``.

    Blocks that are there are not made again. Those made after an interruption are, to the bit,
    those that would have been made without.

    Raises
        MediaError: nothing of the film's track decodes.
        PartsError: the disk is full, or cannot be written.
    """
    model, n_trs = plan.models[modality], plan.clock.n_trs
    size, done = block_trs(model), parts.count(modality)
    n_blocks = 1 + max(0, (n_trs - _CONTEXT_TRS) // size)
    if done == n_blocks:
        return
    # The first block to make also needs the numbers before it, from a block as it was then.
    again = max(done - 1, 0)
    vectors = _vectors(plan, modality, size, again * size)
    with tqdm(total=n_trs, desc=modality, unit="TR", delay=3, disable=None) as bar:
        bar.update(done * size)
        for index, block in enumerate(overlapping(vectors, size, _CONTEXT_TRS), again):
            if index >= done:
                drawn = model.decoded(torch.from_numpy(block.rows))
                n_drawn = block.stop - block.start
                parts.keep(modality, index, drawn[block.before : block.before + n_drawn])
                bar.update(n_drawn)


def block_trs(model: SavedAutoencoder) -> int:
    """TRs to take at a time: fewer of large pictures."""
    of = model.spec.stream
    values = of.in_dim if isinstance(of.in_dim, int) else 3 * of.in_dim[0] * of.in_dim[1]
    return int(np.clip(_MOST_VALUES // (of.frames_per_tr * values), _LEAST_TRS, _MOST_TRS))


def _vectors(plan: FilmPlan, modality: str, size: int, first_tr: int) -> Iterator[np.ndarray]:
    model, film = plan.models[modality], plan.info.path
    clock, spec = plan.clock_of(modality), plan.models[modality].spec
    if modality == "sound":
        blocks = iter_log_mel(film, clock, spec.mel, size, first_tr)
    else:
        height, width = spec.stream.in_dim
        settings = PictureSettings(width=width, height=height, frames_per_tr=clock.frames_per_tr)
        blocks = iter_picture_trs(film, clock, settings, size, first_tr)
    for block in blocks:
        # What is heard says nothing of pictures.
        fit = plan.fit if modality == "sound" else plan.fit.model_copy(update={"features": None})
        yield model.vectors(block, clock.tr_s, fit).numpy()
