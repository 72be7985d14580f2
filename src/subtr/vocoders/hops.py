"""Frames of any spacing onto hops of whole samples, and long sounds in blocks that overlap."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64
from scipy.interpolate import CubicSpline

_BLOCK_FRAMES = 2048
# A spline forgets a value by a factor of 3.7 a frame: these are 1e-13 of it.
_SPLINE_FRAMES = 24


class Block(NamedTuple):
    """Rows ``start`` to ``stop`` of a long table, with those around them.

    ``rows`` begins ``before`` rows before ``start``; ``last`` where the table ends with ``stop``.
    """

    rows: Float[np.ndarray, "row value"]
    before: int
    start: int
    stop: int
    last: bool


def overlapping(
    parts: Iterable[Float[np.ndarray, "_ value"]], n_rows: int, context: int
) -> Iterator[Block]:
    """The same blocks of a long table however it arrives, each with rows before and after.

    Arguments
        parts: consecutive rows, any number at a time.
        n_rows: rows of a block; the last has from ``context`` to ``n_rows + context``.
        context: rows on either side, less at the ends of the table.
    """
    held, start = None, 0
    origin = 0  # of the held rows
    for part in parts:
        held = part if held is None else np.concatenate([held, part])
        while origin + len(held) >= start + n_rows + context:
            stop = start + n_rows
            rows = held[: stop + context - origin]
            yield Block(rows, start - origin, start, stop, False)
            start, kept = stop, max(stop - context, 0)
            held, origin = held[kept - origin :], kept
    if held is not None:
        yield Block(held, start - origin, start, origin + len(held), True)


@dataclass(frozen=True)
class Hops:
    """Where a vocoder wants its frames, beside where a spectrogram has them.

    Frame k is centred on sample (k + 1/2) * ``frame_samples`` after the onset of the first TR, hop
    j on sample j * ``hop_samples`` + ``centre``.

    Arguments
        frame_samples: samples from one frame to the next, seldom a whole number.
        hop_samples: samples from one hop to the next.
        centre: of hop 0.
        n_hops: hops to make.
    """

    frame_samples: float
    hop_samples: int
    centre: float
    n_hops: int

    def resampled(
        self, parts: Iterable[Float[np.ndarray, "_ value"]]
    ) -> Iterator[Float64[np.ndarray, "_ value"]]:
        """Frames on the hops by cubic splines in time; beyond the ends, the end frames."""
        for block in overlapping(parts, _BLOCK_FRAMES, _SPLINE_FRAMES):
            first = 0 if block.start == 0 else self._first_from(block.start)
            stop = self.n_hops if block.last else min(self._first_from(block.stop), self.n_hops)
            places = (np.arange(first, stop) * self.hop_samples + self.centre) / self.frame_samples
            rows = block.rows.astype(np.float64)
            yield _at(rows, places - 0.5 - (block.start - block.before))

    def _first_from(self, frame: int) -> int:
        """The first hop that is centred on this frame or later."""
        return math.ceil(((frame + 0.5) * self.frame_samples - self.centre) / self.hop_samples)


def _at(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    places = np.clip(places, 0, len(rows) - 1)
    if len(rows) == 1:
        return np.repeat(rows, len(places), axis=0)
    return CubicSpline(np.arange(len(rows)), rows, axis=0)(places)
