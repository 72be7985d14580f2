"""Which patches of a clip are hidden from an encoder, and which of them a decoder must redraw.

A clip is a cube of patches (time, cell). Cells are ranges of bands of a log-mel spectrogram, or
squares of a picture, row by row. Every function is pure: the same generator gives the same mask.
"""

import math
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from subtr.params import SettingsError

# Patches of a running cell: two by two neighbours of a picture, four neighbouring ranges of bands.
PATCHES_PER_CELL = 4


def tube_mask(
    n_items: int, n_times: int, n_cells: int, ratio: float, generator: Generator
) -> Bool[Tensor, "item time cell"]:
    """True where hidden: the same cells at every time of an item, others in the next item.

    Arguments
        ratio: share of the cells that is hidden, to the nearest whole cell.

    Raises
        SettingsError: the ratio hides none or all of the cells.

    Source: Tong et al. 2022, VideoMAE: tube masking at 0.90 to 0.95.
    """
    hidden = _exactly(n_items, n_cells, ratio, generator)
    return hidden[:, None].expand(-1, n_times, -1).clone()


def random_mask(
    n_items: int, n_times: int, n_cells: int, ratio: float, generator: Generator
) -> Bool[Tensor, "item time cell"]:
    """True where hidden: patches anywhere in time and space, each item others.

    Arguments
        ratio: share of all patches that is hidden, to the nearest whole patch.

    Raises
        SettingsError: the ratio hides none or all of the patches.

    Source: Huang et al. 2022, Masked autoencoders that listen: unstructured masking.
    """
    hidden = _exactly(n_items, n_times * n_cells, ratio, generator)
    return hidden.view(n_items, n_times, n_cells)


def running_cells(
    n_items: int, n_times: int, space: tuple[int, ...], share: float, generator: Generator
) -> Bool[Tensor, "item time cell"]:
    """True where the decoder redraws: a share of every cell of four patches, which runs on in time.

    At each time the choice within a cell moves on by one patch, so that after four times every
    patch was chosen equally often. All cells of an item run alike; items begin anywhere.

    Arguments
        space: ranges of bands (n_ranges,), or squares of a picture (rows, columns).
        share: of the four patches of a cell, how many are chosen: 0.25, 0.5 or 0.75.

    Raises
        SettingsError: another share.

    Source: Wang et al. 2023, VideoMAE V2, decoder masking; Qing et al. 2023, Masked action
    recognition, running cells.
    """
    n_chosen = round(share * PATCHES_PER_CELL)
    if not 0 < n_chosen < PATCHES_PER_CELL or abs(n_chosen - share * PATCHES_PER_CELL) > 1e-9:
        raise SettingsError(f"decoder_cells = {share:g}: expected 0.25, 0.5 or 0.75.")
    if len(space) == 1:
        within = torch.arange(space[0]) % PATCHES_PER_CELL
    else:
        rows, columns = (torch.arange(n) % 2 for n in space)
        within = (2 * rows[:, None] + columns).flatten()
    start = torch.randint(PATCHES_PER_CELL, (n_items, 1, 1), generator=generator)
    turn = start + torch.arange(n_times)[:, None] + within
    return turn % PATCHES_PER_CELL < n_chosen


def dual_masks(
    n_items: int,
    n_times: int,
    space: tuple[int, ...],
    kind: Literal["tube", "random"],
    ratio: float,
    decoder_cells: float | None,
    generator: Generator,
) -> tuple[Bool[Tensor, "item time cell"], Bool[Tensor, "item time cell"]]:
    """What is hidden from the encoder, and which of that the decoder is to redraw.

    The two differ only where ``decoder_cells`` is given: then what is redrawn is what is hidden
    and in the running cells. No patch is both seen and redrawn.

    Raises
        SettingsError: as the masks themselves do.
    """
    make = tube_mask if kind == "tube" else random_mask
    hidden = make(n_items, n_times, math.prod(space), ratio, generator)
    if decoder_cells is None:
        return hidden, hidden
    return hidden, hidden & running_cells(n_items, n_times, space, decoder_cells, generator)


def _exactly(
    n_items: int, n_patches: int, ratio: float, generator: Generator
) -> Bool[Tensor, "item patch"]:
    n_hidden = round(ratio * n_patches)
    if not 0 < n_hidden < n_patches:
        raise SettingsError(
            f"mask_ratio = {ratio:g} hides {n_hidden} of {n_patches} patches: expected some hidden "
            "and some seen; use smaller patches or another ratio."
        )
    order = torch.rand(n_items, n_patches, generator=generator).argsort(dim=1)
    return order.argsort(dim=1) < n_hidden
