"""Scores of predicted BOLD, and the ceilings that noise puts on them. NaN marks masked volumes."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float64, Int, Shaped

from subtr.errors import SettingsError


def pearson_r(
    x: Shaped[np.ndarray, "tr parcel"], y: Shaped[np.ndarray, "tr parcel"]
) -> Float64[np.ndarray, " parcel"]:
    """Pearson correlation of each parcel over the TRs at which both are known.

    NaN for a parcel with fewer than 3 such TRs or with a constant series.
    """
    both = np.isfinite(x) & np.isfinite(y)
    n = both.sum(0)

    def centred(values):
        values = np.where(both, values, 0.0).astype(np.float64)
        return np.where(both, values - values.sum(0) / np.maximum(n, 1), 0.0)

    a, b = centred(x), centred(y)
    aa, bb = (a * a).sum(0), (b * b).sum(0)
    # A constant series leaves rounding dust; compare it with the size of the values themselves.
    dust = 1e-20 * n
    flat = (aa <= dust * _largest(x, both) ** 2) | (bb <= dust * _largest(y, both) ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (a * b).sum(0) / np.sqrt(aa * bb)
    return np.where((n < 3) | flat, np.nan, np.clip(r, -1.0, 1.0))


def _largest(values, known):
    return np.abs(np.where(known, values, 0.0)).max(0, initial=0.0).astype(np.float64)


def standardise_by_fold(
    series: Shaped[np.ndarray, "tr parcel"], tests: Sequence[Int[np.ndarray, " _"]]
) -> Float64[np.ndarray, "tr parcel"]:
    """Each test block to mean 0 and deviation 1 by itself; NaN at TRs that no fold tests.

    Folds are combined so: predictions and BOLD of all test blocks, standardised per block, are
    correlated as one series. This equals the mean of the folds' r weighted by their length, is
    blind to offsets between models of different folds, and can be bootstrapped over time.
    """
    out = np.full(series.shape, np.nan)
    for trs in tests:
        block = series[trs].astype(np.float64)
        if np.isfinite(out[trs]).any():
            raise SettingsError("A TR lies in two test blocks: expected disjoint folds.")
        with warnings.catch_warnings():  # a parcel without any known volume stays NaN
            warnings.simplefilter("ignore", RuntimeWarning)
            spread = np.nanstd(block, axis=0)
            out[trs] = (block - np.nanmean(block, axis=0)) / np.where(spread > 0, spread, np.nan)
    return out


def split_half_ceiling(
    bold_by_subject: Mapping[str, Float[np.ndarray, "tr parcel"]]
    | Float[np.ndarray, "subject tr parcel"],
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
    if isinstance(bold_by_subject, Mapping):
        bold_by_subject = np.stack(list(bold_by_subject.values()))
    bold = bold_by_subject.astype(np.float64)
    n_subjects = len(bold)
    if n_subjects < 2:
        raise SettingsError(f"{n_subjects} subject(s): a split-half ceiling needs at least two.")
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


def lag_scan(
    feature: Float[np.ndarray, " tr"],
    bold: Float[np.ndarray, "tr parcel"],
    tr_s: float,
    longest_s: float = 16.0,
) -> tuple[Float64[np.ndarray, " lag"], Float64[np.ndarray, "lag parcel"]]:
    """Correlation of a feature with BOLD that comes ``lag`` seconds later.

    Negative lags (down to -longest_s / 2) are in the scan to expose a misalignment; the response
    cannot come before the stimulus.

    Returns
        lags_s (n_lags,), r (n_lags, n_parcels).
    """
    n_trs = len(feature)
    lags = np.arange(-round(longest_s / 2 / tr_s), round(longest_s / tr_s) + 1)
    lags = lags[np.abs(lags) <= n_trs - 3]
    rows = []
    for lag in lags:
        ahead = feature[max(-lag, 0) : n_trs - max(lag, 0)]
        later = bold[max(lag, 0) : n_trs - max(-lag, 0)]
        rows.append(pearson_r(np.broadcast_to(ahead[:, None], later.shape), later))
    return lags * float(tr_s), np.array(rows)


def check_lag(
    lags_s: Float[np.ndarray, " lag"],
    r: Float[np.ndarray, "lag parcel"],
    expected_s: float,
    tolerance_s: float = 3.0,
) -> float:
    """The lag in seconds at which r, averaged over parcels, peaks.

    Warns (UserWarning) when that is more than ``tolerance_s`` from ``expected_s``: the stimulus and
    the BOLD are then probably misaligned, or were already shifted.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        mean_r = np.nanmean(r, axis=1)
    peak_s = float(lags_s[np.nanargmax(mean_r)])
    if abs(peak_s - expected_s) > tolerance_s:
        warnings.warn(
            f"BOLD follows the stimulus best at a lag of {peak_s:g} s, but about {expected_s:g} s "
            "is expected: check the onset of the stimulus, and whether the BOLD was shifted.",
            UserWarning,
            stacklevel=2,
        )
    return peak_s
