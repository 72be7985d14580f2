"""Intervals, null distributions and controls."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64, Shaped
from scipy import fft, stats

from subtr.metrics.bold import (
    LARGEST_R,
    Subjects,
    known_mean,
    parcels_alike,
    pearson_r,
    scored_on,
    stacked,
    standardise_by_fold,
    standardised,
)
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


# Intervals of the ceilings of `subtr.metrics.bold`, by leaving out one subject at a time.
#
# The film is the same for whoever watches it, so what chance draws are subjects and their noise.
# Resampling blocks of time counts the film's own changes as chance, which widens the interval where
# the signal is strong; drawing subjects' correlations again with replacement forgets that they
# share the others' mean, and covers the truth far too seldom (`benchmarks/ceilings.py` counts how
# often each does).

# With two subjects none can be left out: blocks of time are.
_LEAST_SUBJECTS = 3


def split_half_interval(
    bold_by_subject: Subjects,
    parts: Bool[np.ndarray, "part parcel"] | None = None,
    scored_subjects: int | None = None,
    block_trs: int = 10,
    level: float = 0.95,
) -> Interval:
    """Interval of the ceiling of `split_half_ceiling`, by leaving out one subject at a time.

    The reliability comes from the mean correlation of pairs of subjects, which split halves and the
    Spearman-Brown formula estimate too. With two subjects blocks of time are left out.

    Arguments
        parts: parcels whose mean ceiling is wanted, a row each; every parcel by itself if omitted.
        scored_subjects: see `split_half_ceiling`.
        block_trs: TRs left out at a time where there are but two subjects.

    Raises
        SettingsError: fewer than two subjects.
    """
    bold = stacked(bold_by_subject)
    length = scored_subjects or len(bold)

    def ceiling(shared: np.ndarray) -> np.ndarray:
        r = _pair_mean(shared)
        reliability = length * r / np.maximum(1 + (length - 1) * r, 1e-12)
        return np.sqrt(np.clip(reliability, 0.0, LARGEST_R))

    return _interval(bold, ceiling, parts, block_trs, level, (0.0, 1.0))


def intersubject_interval(
    bold_by_subject: Subjects,
    parts: Bool[np.ndarray, "part parcel"] | None = None,
    block_trs: int = 10,
    level: float = 0.95,
) -> Interval:
    """Interval of `intersubject_ceiling`, by leaving out one subject at a time.

    Arguments, Raises
        See `split_half_interval`.
    """
    bold = stacked(bold_by_subject)

    def ceiling(shared: np.ndarray) -> np.ndarray:
        own = np.einsum("ssp->sp", shared)
        with_others = shared.sum(axis=1) - own
        of_others = shared.sum(axis=(0, 1)) - 2 * with_others - own
        with np.errstate(invalid="ignore", divide="ignore"):
            r = with_others / np.sqrt(own * of_others)
        return np.tanh(np.arctanh(np.clip(r, -LARGEST_R, LARGEST_R)).mean(axis=0))

    return _interval(bold, ceiling, parts, block_trs, level, (-1.0, 1.0))


def _interval(
    bold: np.ndarray, ceiling: Callable, parts, block_trs: int, level: float, ends: tuple
) -> Interval:
    z, n_parcels = standardised(bold, axis=1), bold.shape[2]
    parts = np.eye(n_parcels, dtype=bool) if parts is None else parts
    found = []
    for shared in _leaving_out(z, block_trs):
        values = np.full(n_parcels, np.nan)
        known = np.isfinite(np.einsum("ssp->sp", shared))
        # Parcels that the same subjects have; those of fewer than two have no ceiling.
        for chosen in parcels_alike(known):
            have = known[:, chosen[0]]
            if have.sum() >= 2:
                values[chosen] = ceiling(shared[np.ix_(have, have, chosen)])
        found.append(known_mean(np.where(parts, values, np.nan), axis=1))
    whole, *without = np.arctanh(np.clip(found, -LARGEST_R, LARGEST_R))
    low, high = jackknife_interval(whole, np.stack(without), level)
    return Interval(*(np.clip(np.tanh(end), *ends) for end in (low, high)))


def _leaving_out(z: np.ndarray, block_trs: int):
    """Covariances of subjects (subject, subject, parcel): of all, then without each part."""
    shared = _covariance(z)
    yield shared
    if len(z) >= _LEAST_SUBJECTS:
        for subject in range(len(z)):
            kept = np.arange(len(z)) != subject
            yield shared[np.ix_(kept, kept)]
        return
    for block in np.array_split(np.arange(z.shape[1]), max(2, z.shape[1] // block_trs)):
        yield _covariance(standardised(np.delete(z, block, axis=1), axis=1))


def _covariance(z: np.ndarray) -> np.ndarray:
    """Mean products of subjects' z-scores over the TRs that both have."""
    known = np.isfinite(z)
    filled, known = np.where(known, z, 0.0), known.astype(np.float64)
    sums = np.einsum("atp,btp->abp", filled, filled, optimize=True)
    counts = np.einsum("atp,btp->abp", known, known, optimize=True)
    return np.where(counts >= 3, sums / np.maximum(counts, 1), np.nan)


def _pair_mean(shared: np.ndarray) -> np.ndarray:
    n = len(shared)
    return (shared.sum(axis=(0, 1)) - np.einsum("ssp->p", shared)) / (n * (n - 1))


# What a moved prediction must not share with the volume is the response, which is over by then.
LEAST_SHIFT_S = 16.0


def shifted_r(
    prediction: Float[np.ndarray, "tr parcel"],
    bold: Float[np.ndarray, "tr parcel"],
    blocks: Sequence[Int[np.ndarray, " _"]] | None = None,
) -> Float64[np.ndarray, "shift parcel"]:
    """r at every shift of the prediction along in time, wrapped around; row 0 is as observed.

    Within each block both series are standardised, after the shift, so that every row is the score
    that `standardise_by_fold` and `pearson_r` give: the mean of the blocks' r by their length. All
    shifts together cost a few Fourier transforms (the correlation theorem). Standardising before
    the shift alone would leave blocks that start with another mean and deviation after it.

    Arguments
        prediction, bold: NaN where unknown; pairs of known values alone count.
        blocks: positions of each test block, disjoint; one block of all TRs if omitted.

    NaN where a parcel has a constant series or fewer than 3 known pairs in every block.
    """
    n_trs = len(bold)
    blocks = [np.arange(n_trs)] if blocks is None else blocks
    x = _parts(prediction)
    total, x_power, y_power = np.zeros((3, n_trs, bold.shape[1]))
    for block in blocks:
        inside = np.zeros((n_trs, 1), bool)
        inside[block] = True
        y = _parts(np.where(inside, bold, np.nan))
        n = np.rint(_moved(y[0], x[0]))
        safe = np.maximum(n, 1)
        x_mean, y_mean = _moved(y[0], x[1]) / safe, _moved(y[1], x[0]) / safe
        x_square, y_square = _moved(y[0], x[2]) / safe, _moved(y[2], x[0]) / safe
        x_variance, y_variance = x_square - x_mean**2, y_square - y_mean**2
        # What is left of a constant series is rounding of its square.
        x_varies = (n >= 3) & (x_variance > 1e-10 * x_square)
        y_varies = (n >= 3) & (y_variance > 1e-10 * y_square)
        usable = x_varies & y_varies
        product = np.where(usable, x_variance * y_variance, 1.0)
        r = (_moved(y[1], x[1]) / safe - x_mean * y_mean) / np.sqrt(product)
        total += np.where(usable, n * np.clip(r, -1.0, 1.0), 0.0)
        # A block in which one is constant counts with an r of 0.
        x_power += np.where(x_varies, n, 0.0)
        y_power += np.where(y_varies, n, 0.0)
    power = np.sqrt(x_power * y_power)
    return np.where(power > 0, total / np.maximum(power, 1), np.nan)


def shift_null(
    prediction: Float[np.ndarray, "tr parcel"],
    bold: Float[np.ndarray, "tr parcel"],
    least_shift_trs: int,
    blocks: Sequence[Int[np.ndarray, " _"]] | None = None,
) -> tuple[Float64[np.ndarray, " parcel"], Float64[np.ndarray, "draw parcel"]]:
    """r as observed, and at every shift of at least ``least_shift_trs`` in either direction.

    The null hypothesis is that the series are stationary and independent: then all shifts are
    alike, whatever the autocorrelation. Give the two to `permutation_p`. Shuffling single TRs
    would destroy the autocorrelation and call chance significant.

    Raises
        SettingsError: a series too short to be shifted that far.
    """
    n_trs = len(bold)
    if not 1 <= least_shift_trs <= n_trs // 2:
        raise SettingsError(
            f"least_shift_trs = {least_shift_trs} with {n_trs} TRs: expected 1 to {n_trs // 2}."
        )
    r = shifted_r(prediction, bold, blocks)
    return r[0], r[least_shift_trs : n_trs - least_shift_trs + 1]


def held_out_shift_null(
    prediction: Float[np.ndarray, "tr parcel"],
    measured: Float[np.ndarray, "tr parcel"],
    tests: Sequence[Int[np.ndarray, " _"]],
    tr_s: float | int,
    least_shift_s: float | int = LEAST_SHIFT_S,
) -> tuple[Float64[np.ndarray, " parcel"], Float64[np.ndarray, "draw parcel"]]:
    """`shift_null` of the predictions of all test blocks, which are one circle of volumes.

    Blocks are standardised before the shift, as models of different folds have other offsets, and
    anew after it; at every shift the volumes that were measured count, those that are scored.

    Arguments
        prediction, measured: (n_trs, n_parcels) of the whole timeline.
        least_shift_s: shifts are at least so long, or half of the circle where that is shorter.
    """
    trs = np.sort(np.concatenate(tests))
    blocks = [np.searchsorted(trs, test) for test in tests]
    least_trs = min(math.ceil(least_shift_s / tr_s), len(trs) // 2)
    moving = standardise_by_fold(prediction, tests)[trs]
    return shift_null(moving, measured[trs], least_trs, blocks)


def _parts(values: np.ndarray) -> tuple:
    """Spectra of what is known, of its z-scores and of their squares."""
    known = np.isfinite(values)
    # What is constant is 0.
    z = np.nan_to_num(standardised(values))
    return tuple((fft.rfft(of, axis=0), len(values)) for of in (known.astype(np.float64), z, z**2))


def _moved(fixed: tuple, moving: tuple) -> np.ndarray:
    """Sum over time of fixed[t] moving[t - shift], for every shift."""
    return fft.irfft(fixed[0] * np.conj(moving[0]), fixed[1], axis=0)


def shuffle_frames(
    windows: Shaped[np.ndarray, "tr frame *feature"], seed: int = 0
) -> Shaped[np.ndarray, "tr frame *feature"]:
    """Each TR's frames in an order of its own: what each TR holds stays, its order goes.

    A system whose score survives this does not use order within the TR.
    """
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(windows.shape[1]), (len(windows), 1)), axis=1)
    return windows[np.arange(len(windows))[:, None], order]


def phase_randomised(
    series: Float[np.ndarray, "time *channel"], seed: int = 0
) -> Float64[np.ndarray, "time *channel"]:
    """A surrogate of the same spectra and cross-spectra, of which everything else is chance.

    The phases of the Fourier transform become random, the same change in all channels, so that
    each keeps its mean, variance and autocorrelation, and any two what goes together in them at
    any lag. What is not in second moments, such as onsets, words and order, is gone. A jump from
    the last sample to the first is spread over the surrogate.

    Sources: Theiler et al. 1992, Testing for nonlinearity in time series; Prichard and Theiler
    1994, Generating surrogate data for time series with several simultaneously measured variables.
    """
    n = len(series)
    spectrum = np.fft.rfft(series, axis=0)
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(spectrum))
    phases[0] = 0.0
    if n % 2 == 0:  # the highest frequency has a sign and no phase
        phases[-1] = np.pi * (phases[-1] > np.pi)
    turn = np.exp(1j * phases).reshape(-1, *[1] * (series.ndim - 1))
    return np.fft.irfft(spectrum * turn, n, axis=0)


def phase_randomised_frames(
    windows: Float[np.ndarray, "tr frame *feature"],
    run_of_tr: Shaped[np.ndarray, " tr"] | None = None,
    seed: int = 0,
) -> Float[np.ndarray, "tr frame *feature"]:
    """`phase_randomised` of a stimulus cut into TRs, each run by itself as one stream of frames."""
    runs = np.zeros(len(windows), int) if run_of_tr is None else run_of_tr
    out = np.empty_like(windows)
    for index, run in enumerate(np.unique(runs)):
        stream = windows[runs == run]
        flat = stream.reshape(len(stream) * stream.shape[1], -1)
        surrogate = np.empty_like(flat)
        # Of a film's pixels some at a time, since spectra take memory; the phases are the same.
        for first in range(0, flat.shape[1], 4096):
            some = slice(first, first + 4096)
            surrogate[:, some] = phase_randomised(flat[:, some], seed + 1000 * index)
        out[runs == run] = surrogate.reshape(stream.shape)
    return out


def phase_null(
    prediction: Float[np.ndarray, "tr parcel"],
    bold: Float[np.ndarray, "tr parcel"],
    n_draws: int = 200,
    seed: int = 0,
    score: Callable[[np.ndarray, np.ndarray], np.ndarray] = pearson_r,
) -> Float64[np.ndarray, "draw parcel"]:
    """Scores of surrogates of the prediction: chance at the same spectrum (see `phase_randomised`).

    Give consecutive TRs without missing predictions.
    """
    draws = range(seed, seed + n_draws)
    return np.array([score(phase_randomised(prediction, draw), bold) for draw in draws])


def false_discovery_q(p: Float[np.ndarray, " test"]) -> Float64[np.ndarray, " test"]:
    """The least false discovery rate at which each test is called positive; NaN stays NaN.

    Calling positive what has q of at most 0.05 leaves at most 5 % false ones among those called,
    where tests are independent or positively dependent, as parcels are.

    Source: Benjamini and Hochberg 1995, Controlling the false discovery rate.
    """
    q = np.full(p.shape, np.nan)
    known = np.isfinite(p)
    if known.any():
        q[known] = stats.false_discovery_control(p[known], method="bh")
    return q


def permutation_p(
    observed: float | Float[np.ndarray, " parcel"],
    null: Float[np.ndarray, "draw *parcel"],
) -> float | Float64[np.ndarray, " parcel"]:
    """One-sided p of the observed score: (1 + draws at least as large) / (1 + draws).

    The added one counts the observed order itself, so p is never 0 and the test never too bold,
    if under the null hypothesis the observed score could as well have been any of the draws. Of
    series that resemble their past, draws by shuffled TRs are no such draws; shifts are.
    NaN where the observed score is NaN.

    Source: Phipson and Smyth 2010, Permutation p-values should never be zero.
    """
    beaten = (null >= np.asarray(observed)).sum(axis=0)
    known = (~np.isnan(null)).sum(axis=0)
    p = np.where(np.isnan(observed), np.nan, (1 + beaten) / (1 + known))
    return float(p) if p.ndim == 0 else p


def cross_subject_r(
    predictions: Mapping[str, Float[np.ndarray, "tr parcel"]],
    bold: Mapping[str, Float[np.ndarray, "tr parcel"]],
    tests: Sequence[Int[np.ndarray, " _"]] | None = None,
) -> Float64[np.ndarray, "predicted scored parcel"]:
    """r of every prediction (of a subject's head, or of the group) with every subject's BOLD.

    How far what was learned of some carries to others, to be set beside the inter-subject ceiling.
    Each pair is scored on the volumes that the scored subject has, see `scored_on`.

    Arguments
        bold: standardised by test block.
        tests: the test blocks; one of all TRs if omitted.
    """

    def r(of: np.ndarray, measured: np.ndarray) -> np.ndarray:
        return pearson_r(scored_on(of, measured, tests or [np.arange(len(measured))]), measured)

    return np.array([[r(of, other) for other in bold.values()] for of in predictions.values()])


def wrong_subject_scores(
    predictions: Mapping[str, Float[np.ndarray, "tr parcel"]],
    bold: Mapping[str, Float[np.ndarray, "tr parcel"]],
    tests: Sequence[Int[np.ndarray, " _"]] | None = None,
) -> tuple[Float64[np.ndarray, "subject parcel"], Float64[np.ndarray, "pair parcel"]]:
    """r of each subject's prediction with their own BOLD, and with everybody else's.

    A per-subject head earns its keep only if the first are above the second.

    Arguments
        as `cross_subject_r`.

    Returns
        right (n_subjects, n_parcels), wrong (n_subjects * (n_subjects - 1), n_parcels).
    """
    r = _of_pairs(predictions, bold, tests)
    own = np.eye(len(r), dtype=bool)
    return r[own], r[~own]


def wrong_subject_p(
    predictions: Mapping[str, Float[np.ndarray, "tr parcel"]],
    bold: Mapping[str, Float[np.ndarray, "tr parcel"]],
    tests: Sequence[Int[np.ndarray, " _"]] | None = None,
    n_draws: int = 1000,
    seed: int = 0,
) -> Float64[np.ndarray, " parcel"]:
    """p, per parcel, that heads fit their own subject no better than under shuffled pairings.

    With n subjects no p can be below about 1 / n!, so it needs at least five of them. A parcel
    that a subject lacks is judged by the others.

    Arguments
        predictions, bold, tests: as `cross_subject_r`.
    """
    r = _of_pairs(predictions, bold, tests)
    own, rng = np.arange(len(r)), np.random.default_rng(seed)
    null = [known_mean(r[own, rng.permutation(len(r))], axis=0) for _ in range(n_draws)]
    return np.asarray(permutation_p(known_mean(r[own, own], axis=0), np.array(null)))


def _of_pairs(predictions, bold, tests) -> np.ndarray:
    """r (predicted, scored, parcel) of the subjects that both have."""
    subjects = [subject for subject in predictions if subject in bold]
    if len(subjects) < 2:
        raise SettingsError(f"{len(subjects)} subject(s) in both: pairing needs at least two.")
    both = ({subject: of[subject] for subject in subjects} for of in (predictions, bold))
    return cross_subject_r(*both, tests)
