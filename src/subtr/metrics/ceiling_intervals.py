"""Intervals of the ceilings of `subtr.metrics.ceilings`, by leaving out one subject at a time.

The film is the same for whoever watches it, so what chance draws are subjects and their noise.
Resampling blocks of time counts the film's own changes as chance, which widens the interval where
the signal is strong; drawing subjects' correlations again with replacement forgets that they share
the others' mean, and covers the truth far too seldom (`benchmarks/ceilings.py` counts how
often each does).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool

from subtr.metrics.bold import known_mean, parcels_alike, standardised
from subtr.metrics.bootstrap import Interval, jackknife_interval
from subtr.metrics.ceilings import LARGEST_R, Subjects, stacked

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
