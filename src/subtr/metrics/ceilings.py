"""The ceilings that noise puts on scores of BOLD, each with an interval. NaN marks masked volumes.

Intervals leave out one subject at a time. The film is the same for whoever watches it, so what
chance draws are subjects and their noise. Resampling blocks of time counts the film's own changes
as chance, which widens the interval where the signal is strong; drawing subjects' correlations
again with replacement forgets that they share the others' mean, and covers the truth far too seldom
(`tests/verify/test_ceilings.py` counts how often each does).
"""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Float, Float64

from subtr.errors import SettingsError
from subtr.metrics.bold import pearson_r
from subtr.metrics.bootstrap import Interval, jackknife_interval

Subjects = Mapping[str, Float[np.ndarray, "tr parcel"]] | Float[np.ndarray, "subject tr parcel"]
# With two subjects none can be left out: blocks of time are.
_LEAST_SUBJECTS = 3
_LARGEST = 1 - 1e-9


def split_half_ceiling(
    bold_by_subject: Subjects,
    n_splits: int = 100,
    seed: int = 0,
    scored_subjects: int | None = None,
) -> Float64[np.ndarray, " parcel"]:
    """The highest r that a model of the shared signal can reach, per parcel.

    Square root of the reliability of the group mean: subjects are split into random halves, the
    halves' means correlated, r averaged over splits and carried to the whole group by the
    Spearman-Brown formula. 0 where the reliability is negative.

    Arguments
        scored_subjects: how many subjects the scored series averages; all by default, 1 for the
            ceiling of a single subject's BOLD (which counts what is that subject's own as noise).

    Raises
        SettingsError: fewer than two subjects; no reliability can come from one.
    """
    bold = _stacked(bold_by_subject)
    n_subjects = len(bold)
    half = n_subjects // 2
    rng = np.random.default_rng(seed)
    draws = []
    with warnings.catch_warnings():  # volumes masked in a whole half are NaN, and left out
        warnings.simplefilter("ignore", RuntimeWarning)
        for _ in range(n_splits):
            order = rng.permutation(n_subjects)
            first = np.nanmean(bold[order[:half]], axis=0)
            second = np.nanmean(bold[order[half : 2 * half]], axis=0)
            draws.append(pearson_r(first, second))
        r = np.nanmean(draws, axis=0)
    r = np.clip(r, 0.0, 1.0)
    length = (scored_subjects or n_subjects) / half
    return np.sqrt(length * r / (1 + (length - 1) * r))


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
    bold = _stacked(bold_by_subject)
    length = scored_subjects or len(bold)

    def ceiling(shared: np.ndarray) -> np.ndarray:
        r = _pair_mean(shared)
        reliability = length * r / np.maximum(1 + (length - 1) * r, 1e-12)
        return np.sqrt(np.clip(reliability, 0.0, _LARGEST))

    return _interval(bold, ceiling, parts, block_trs, level, (0.0, 1.0))


def intersubject_correlation(
    bold_by_subject: Subjects,
) -> Float64[np.ndarray, "subject parcel"]:
    """r of each subject with the mean of the others, z-scored: what is shared, per parcel.

    Raises
        SettingsError: fewer than two subjects.

    Source: Nastase et al. 2019, Measuring shared responses across subjects using intersubject
    correlation, "leave-one-out approach".
    """
    z = _z_scored(_stacked(bold_by_subject))
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for subject in range(len(z)):
            others = np.nanmean(np.delete(z, subject, axis=0), axis=0)
            found.append(pearson_r(z[subject], others))
    return np.stack(found)


def intersubject_ceiling(bold_by_subject: Subjects) -> Float64[np.ndarray, " parcel"]:
    """How well the others predict a subject: the mean of `intersubject_correlation`, through z.

    A lower bound of what a model of the shared signal can reach in one subject, as the others'
    mean has noise too.
    """
    r = np.clip(intersubject_correlation(bold_by_subject), -_LARGEST, _LARGEST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.tanh(np.nanmean(np.arctanh(r), axis=0))


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
    bold = _stacked(bold_by_subject)

    def ceiling(shared: np.ndarray) -> np.ndarray:
        own = np.einsum("ssp->sp", shared)
        with_others = shared.sum(axis=1) - own
        of_others = shared.sum(axis=(0, 1)) - 2 * with_others - own
        with np.errstate(invalid="ignore", divide="ignore"):
            r = with_others / np.sqrt(own * of_others)
        return np.tanh(np.arctanh(np.clip(r, -_LARGEST, _LARGEST)).mean(axis=0))

    return _interval(bold, ceiling, parts, block_trs, level, (-1.0, 1.0))


def r_over_ceiling(
    r: Float[np.ndarray, " parcel"],
    ceiling: Float[np.ndarray, " parcel"],
    least_ceiling: float = 0.1,
) -> Float64[np.ndarray, " parcel"]:
    """r as a share of what noise allows; NaN where the ceiling is below ``least_ceiling``.

    A share of next to nothing is noise divided by noise; such parcels are better left out.
    """
    usable = ceiling >= least_ceiling
    return np.where(usable, r / np.where(usable, ceiling, 1.0), np.nan).astype(np.float64)


def _interval(
    bold: np.ndarray, ceiling: Callable, parts, block_trs: int, level: float, ends: tuple
) -> Interval:
    z, n_parcels = _z_scored(bold), bold.shape[2]
    parts = np.eye(n_parcels, dtype=bool) if parts is None else parts
    found = []
    for shared in _leaving_out(z, block_trs):
        values = np.full(n_parcels, np.nan)
        known = np.isfinite(np.einsum("ssp->sp", shared))
        # Parcels that the same subjects have; those of fewer than two have no ceiling.
        for pattern in np.unique(known, axis=1).T:
            chosen = (known == pattern[:, None]).all(axis=0)
            if pattern.sum() >= 2:
                values[chosen] = ceiling(shared[np.ix_(pattern, pattern, chosen)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            found.append(np.nanmean(np.where(parts, values, np.nan), axis=1))
    whole, *without = np.arctanh(np.clip(found, -_LARGEST, _LARGEST))
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
        yield _covariance(_z_scored(np.delete(z, block, axis=1)))


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


def _z_scored(bold: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():  # a parcel that a subject lacks stays NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        spread = np.nanstd(bold, axis=1, keepdims=True)
        centred = bold - np.nanmean(bold, axis=1, keepdims=True)
    return centred / np.where(spread > 0, spread, np.nan)


def _stacked(bold_by_subject) -> np.ndarray:
    if isinstance(bold_by_subject, Mapping):
        bold_by_subject = np.stack(list(bold_by_subject.values()))
    if len(bold_by_subject) < 2:
        raise SettingsError(
            f"{len(bold_by_subject)} subject(s): a split-half or inter-subject ceiling needs at "
            "least two."
        )
    return bold_by_subject.astype(np.float64)
