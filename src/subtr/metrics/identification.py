"""Identification of time segments, and similarity of spatial patterns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64, Shaped
from scipy import stats

from subtr.metrics.bold import pearson_r
from subtr.metrics.inference import Interval, block_bootstrap, block_indices, permutation_p
from subtr.params import SettingsError


def cut_segments(
    stretches: Sequence[Int[np.ndarray, " _"]], segment_trs: int
) -> Int64[np.ndarray, "segment tr"]:
    """TRs of consecutive segments of equal length; a shorter rest of a stretch is not used.

    Arguments
        stretches: consecutive TRs each, such as test blocks, see `subtr.timeline.consecutive`.
        segment_trs: TRs of a segment.

    Raises
        SettingsError: fewer than two segments.
    """
    segments = [
        stretch[first : first + segment_trs]
        for stretch in stretches
        for first in range(0, len(stretch) - segment_trs + 1, segment_trs)
    ]
    if segment_trs < 1 or len(segments) < 2:
        raise SettingsError(
            f"segment_trs = {segment_trs}: {len(segments)} such segments fit into stretches of at "
            f"most {max(map(len, stretches), default=0)} TRs, expected at least two; use shorter "
            "segments."
        )
    return np.stack(segments).astype(np.int64)


@dataclass(frozen=True)
class Identified:
    """How well each segment was told from its distractors.

    Arguments
        top1: 1 where no distractor resembles the segment more; of equals each counts its share.
        pairwise: share of the distractors that resemble it less; of equals the half.
        chance_top1: 1 / (1 + number of distractors). That of ``pairwise`` is 0.5.
        null_top1, null_pairwise: means over segments when predictions are moved along in time.
    """

    top1: Float64[np.ndarray, " segment"]
    pairwise: Float64[np.ndarray, " segment"]
    chance_top1: Float64[np.ndarray, " segment"]
    null_top1: Float64[np.ndarray, " draw"]
    null_pairwise: Float64[np.ndarray, " draw"]

    def value(self, name: str) -> float:
        """Mean over segments of "top1" or "pairwise"."""
        return float(np.mean(getattr(self, name)))

    def chance(self, name: str) -> float:
        """What guessing reaches."""
        return float(np.mean(self.chance_top1)) if name == "top1" else 0.5

    def floor(self, name: str) -> float:
        """The 95th percentile of what predictions moved along in time reach."""
        null = getattr(self, f"null_{name}")
        return float(np.percentile(null, 95)) if len(null) else self.chance(name)

    def p(self, name: str) -> float:
        """p that predictions moved along in time do as well."""
        return float(permutation_p(self.value(name), getattr(self, f"null_{name}")))

    def interval(self, name: str, block_segments: int = 2) -> Interval:
        """Block bootstrap over segments in their order."""
        scores = getattr(self, name)
        block = min(block_segments, max(len(scores) // 2, 1))
        return block_bootstrap(lambda of: scores[of].mean(), len(scores), block)


def identify(
    measured: Shaped[np.ndarray, "tr *feature"],
    predicted: Shaped[np.ndarray, "tr *feature"],
    segments: Int[np.ndarray, "segment segment_tr"],
    overlap_trs: int,
    run_of_tr: Int[np.ndarray, " tr"] | None = None,
    n_draws: int = 200,
    seed: int = 0,
) -> Identified:
    """Identifies measured segments among those predicted, by the correlation of their patterns.

    A pattern is all features of all TRs of a segment, less its mean. Segments of the same run that
    are less than ``overlap_trs`` from the one to be identified are no distractors, as the slow
    response makes neighbours alike. Chance is found by moving the predictions along in time, in a
    circle of all TRs that have segments, by at least a segment and the overlap.

    Arguments
        measured, predicted: features standardised on training TRs or by test block; what is
            missing (NaN) in one says nothing. A pattern without variation resembles nothing.
        segments: see `cut_segments`.
        overlap_trs: TRs between two segments below which they are not compared: the length of the
            response, about 16 s / tr_s.
        run_of_tr: one run if omitted.
        n_draws: shifts; every possible one where they are fewer.

    Raises
        SettingsError: a segment is left without any distractor.

    Source: Kay et al. 2008, Identifying natural images from human brain activity.
    """
    segment_trs = segments.shape[1]
    baselines = _apart(segments, overlap_trs, run_of_tr)
    if not baselines.any(axis=1).all():
        raise SettingsError(
            f"overlap_trs = {overlap_trs}: of {len(segments)} segments of {segment_trs} TRs, some "
            "have no other that is so far away; use shorter segments or score more TRs."
        )
    products = _Products(measured, predicted, segments)
    top1, pairwise = _scores(products.similarity(0), baselines)
    n_trs = segments.size
    least = min(segment_trs + overlap_trs, n_trs // 2)
    shifts = np.arange(least, n_trs - least + 1)
    if len(shifts) > n_draws:
        shifts = np.random.default_rng(seed).choice(shifts, n_draws, replace=False)
    null = [[of.mean() for of in _scores(products.similarity(int(s)), baselines)] for s in shifts]
    null_top1, null_pairwise = np.array(null, dtype=np.float64).reshape(-1, 2).T
    return Identified(top1, pairwise, 1 / (1 + baselines.sum(axis=1)), null_top1, null_pairwise)


class _Products:
    """Inner products of all TRs, of which those of segments at any shift are sums."""

    def __init__(self, measured, predicted, segments):
        trs = segments.ravel()
        self.shape = segments.shape
        a, b = (
            np.nan_to_num(np.reshape(of, (len(of), -1))[trs].astype(np.float64))
            for of in (measured, predicted)
        )
        self.n_values = segments.shape[1] * a.shape[1]
        self.cross = a @ b.T
        self.sums = [of.sum(axis=1) for of in (a, b)]
        self.squares = [(of**2).sum(axis=1) for of in (a, b)]

    def similarity(self, shift: int) -> np.ndarray:
        """Correlation of each measured segment with each predicted one, moved by ``shift`` TRs."""
        n_segments, n_trs = self.shape
        cross = np.roll(self.cross, shift, axis=1).reshape(n_segments, n_trs, n_segments, n_trs)
        cross = np.einsum("atbt->ab", cross)
        sums, squares = (
            [of[0].reshape(self.shape).sum(1), np.roll(of[1], shift).reshape(self.shape).sum(1)]
            for of in (self.sums, self.squares)
        )
        covariance = cross - np.outer(*sums) / self.n_values
        variances = [
            square - total**2 / self.n_values for square, total in zip(squares, sums, strict=True)
        ]
        flat = [v <= 1e-10 * of + 1e-300 for v, of in zip(variances, squares, strict=True)]
        spread = [np.sqrt(np.where(f, 1.0, v)) for f, v in zip(flat, variances, strict=True)]
        return np.where(np.logical_or.outer(*flat), 0.0, covariance / np.outer(*spread))


def _scores(similarity: np.ndarray, baselines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    own = np.diagonal(similarity)[:, None]
    # Rounding must not break ties.
    equal = np.isclose(similarity, own, rtol=0, atol=1e-9) & baselines
    above, below = (similarity > own) & baselines & ~equal, (similarity < own) & baselines & ~equal
    top1 = np.where(above.any(axis=1), 0.0, 1 / (1 + equal.sum(axis=1)))
    return top1, (below.sum(axis=1) + 0.5 * equal.sum(axis=1)) / baselines.sum(axis=1)


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
    return np.nonzero(np.triu(_apart(segments, overlap_trs, run_of_tr), k=1))


def _apart(segments, overlap_trs: int, run_of_tr) -> Bool[np.ndarray, "segment segment"]:
    first = segments[:, 0]
    apart = np.abs(first[:, None] - first[None, :]) >= segments.shape[1] + overlap_trs
    if run_of_tr is not None:
        run = run_of_tr[first]
        apart |= run[:, None] != run[None, :]
    return apart


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
