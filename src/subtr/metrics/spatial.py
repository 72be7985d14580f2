"""Patterns over parcels: are they predicted at each moment, and in what resembles what?"""

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy import stats

from subtr.metrics.bold import pearson_r
from subtr.metrics.bootstrap import Interval, block_indices
from subtr.params import SettingsError

LEAST_PARCELS = 3


def pattern_correlation(
    prediction: Float[np.ndarray, "tr parcel"], bold: Float[np.ndarray, "tr parcel"]
) -> Float64[np.ndarray, " tr"]:
    """r across parcels at each TR: is it predicted where there is more activity now?

    Bring parcels to one scale first, or those of large variance decide. NaN at TRs with fewer than
    three known parcels.
    """
    return pearson_r(prediction.T, bold.T)


def dissimilarities(
    patterns: Float[np.ndarray, "item parcel"],
) -> Float64[np.ndarray, "item item"]:
    """1 - r across parcels of every two items: the representational dissimilarity matrix.

    Missing parcels (NaN in any item) are left out of all.

    Raises
        SettingsError: fewer than three parcels are known, of which no pattern can be made.

    Source: Kriegeskorte et al. 2008, Representational similarity analysis.
    """
    known = np.isfinite(patterns).all(axis=0)
    if known.sum() < LEAST_PARCELS:
        raise SettingsError(
            f"{known.sum()} parcel(s) are known at all items: a pattern needs at least "
            f"{LEAST_PARCELS}."
        )
    with np.errstate(invalid="ignore", divide="ignore"):  # an item alike in all parcels is NaN
        return 1 - np.atleast_2d(np.corrcoef(patterns[:, known].astype(np.float64)))


def segment_patterns(
    bold: Float[np.ndarray, "tr parcel"], segments: Int[np.ndarray, "segment segment_tr"]
) -> Float64[np.ndarray, "segment parcel"]:
    """Mean pattern of each segment; segments of one TR give the patterns of TRs."""
    return bold[segments].astype(np.float64).mean(axis=1)


def comparable_pairs(
    segments: Int[np.ndarray, "segment segment_tr"],
    overlap_trs: int,
    run_of_tr: Int[np.ndarray, " tr"] | None = None,
) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
    """Pairs of segments that the slow response does not make alike: far apart, or of two runs."""
    first = segments[:, 0]
    apart = np.abs(first[:, None] - first[None, :]) >= segments.shape[1] + overlap_trs
    if run_of_tr is not None:
        run = run_of_tr[first]
        apart |= run[:, None] != run[None, :]
    return np.nonzero(np.triu(apart, k=1))


def representational_similarity(
    predicted: Float[np.ndarray, "item item"],
    measured: Float[np.ndarray, "item item"],
    pairs: tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]],
) -> float:
    """Spearman correlation of two dissimilarity matrices over the given pairs of items.

    Neighbours in time are alike in any smooth series, so leave them out: `comparable_pairs`. NaN
    with fewer than 3 known pairs.
    """
    x, y = predicted[pairs], measured[pairs]
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < 3:
        return float("nan")
    ranks = [stats.rankdata(of[known])[:, None] for of in (x, y)]
    return float(pearson_r(*ranks)[0])


def representational_interval(
    predicted: Float[np.ndarray, "item item"],
    measured: Float[np.ndarray, "item item"],
    pairs: tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]],
    block_items: int = 2,
    n_boot: int = 300,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Interval of `representational_similarity` over items, resampled in blocks of neighbours.

    An item that is drawn twice is not compared with itself.

    Source: Nili et al. 2014, A toolbox for representational similarity analysis.
    """
    n = len(predicted)
    allowed = np.zeros((n, n), bool)
    allowed[pairs] = True
    allowed |= allowed.T
    draws = []
    for items in block_indices(n, min(block_items, max(n // 2, 1)), n_boot, seed):
        drawn = np.ix_(items, items)
        chosen = np.nonzero(np.triu(allowed[drawn], k=1))
        draws.append(representational_similarity(predicted[drawn], measured[drawn], chosen))
    if np.isnan(draws).all():
        return Interval(float("nan"), float("nan"))
    low, high = np.nanpercentile(draws, [50 * (1 - level), 50 * (1 + level)])
    return Interval(float(low), float(high))
