"""Intervals: by blocks of time, resampled; and by what is left without each part."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int64
from scipy import stats

from subtr.params import SettingsError


@dataclass(frozen=True)
class Interval:
    """The lower and upper end, each a float, or an array when the statistic is one."""

    low: float | Float[np.ndarray, "..."]
    high: float | Float[np.ndarray, "..."]

    def __iter__(self):
        return iter((self.low, self.high))


def block_indices(
    n_trs: int, block_trs: int, n_boot: int, seed: int
) -> Int64[np.ndarray, "boot tr"]:
    """Row b holds the TR indices of resample b: whole blocks, wrapped around the end.

    Raises
        SettingsError: blocks longer than half of the series, of which no interval can come.
    """
    if not 1 <= block_trs <= max(n_trs // 2, 1):
        raise SettingsError(
            f"block_trs = {block_trs} with {n_trs} TRs: expected from 1 to half of the TRs "
            f"({max(n_trs // 2, 1)}); use shorter blocks or score more TRs."
        )
    rng = np.random.default_rng(seed)
    starts = rng.integers(n_trs, size=(n_boot, -(-n_trs // block_trs)))
    blocks = starts[..., None] + np.arange(block_trs)
    return blocks.reshape(n_boot, -1)[:, :n_trs] % n_trs


def block_bootstrap(
    statistic: Callable[[Int[np.ndarray, " tr"]], float | np.ndarray],
    n_trs: int,
    block_trs: int,
    n_boot: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a statistic of TRs, resampled in blocks of time.

    Arguments
        statistic: TR indices (n_trs,) -> a number, or an array such as one r per parcel. NaN
            results of a resample are left out.
        block_trs: length of a block; at least as long as the series remembers (for BOLD about
            16 s / tr_s).
        level: 0.95 gives the 2.5th to 97.5th percentile.

    Source: Politis and Romano 1992, A circular block-resampling procedure for stationary data.
    """
    draws = np.array([statistic(row) for row in block_indices(n_trs, block_trs, n_boot, seed)])
    tails = [50 * (1 - level), 50 * (1 + level)]
    kept = ~np.isnan(draws).all(axis=0)
    ends = np.full((2, *draws.shape[1:]), np.nan)
    if draws.ndim == 1:
        ends = np.nanpercentile(draws, tails) if kept else ends
        return Interval(float(ends[0]), float(ends[1]))
    ends[:, kept] = np.nanpercentile(draws[:, kept], tails, axis=0)
    return Interval(ends[0], ends[1])


def jackknife_interval(
    whole: Float[np.ndarray, "*value"],
    without_each: Float[np.ndarray, "part *value"],
    level: float = 0.95,
) -> Interval:
    """Interval of a statistic from its values without each part, with Student's t.

    Arguments
        whole: the statistic of all parts, on a scale on which its spread is even, such as Fisher's
            z of a correlation.
        without_each: the statistic without each of the independent parts, such as subjects.

    Raises
        SettingsError: fewer than two parts.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 11.
    """
    n = len(without_each)
    if n < 2:
        raise SettingsError(f"{n} part(s) to leave out: an interval needs at least two.")
    spread = np.sqrt((n - 1) * np.var(without_each, axis=0))
    reach = stats.t.ppf((1 + level) / 2, n - 1) * spread
    return Interval(whole - reach, whole + reach)
