"""Scores of predicted BOLD, parcel by parcel. NaN marks masked volumes."""

import warnings
from collections.abc import Sequence

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


def centred_by_fold(
    series: Shaped[np.ndarray, "tr parcel"], tests: Sequence[Int[np.ndarray, " _"]]
) -> Float64[np.ndarray, "tr parcel"]:
    """Each test block less its own mean; NaN at TRs that no fold tests."""
    out = np.full(series.shape, np.nan)
    for trs in tests:
        with warnings.catch_warnings():  # a parcel without any known volume stays NaN
            warnings.simplefilter("ignore", RuntimeWarning)
            out[trs] = series[trs] - np.nanmean(series[trs].astype(np.float64), axis=0)
    return out


def r2_score(
    prediction: Float[np.ndarray, "tr parcel"],
    bold: Float[np.ndarray, "tr parcel"],
    training_mean: Float[np.ndarray, " parcel"] | float | int = 0.0,
) -> Float64[np.ndarray, " parcel"]:
    """Share of the held-out variance around the training mean that is predicted, per parcel.

    1 is perfection, 0 what the training mean reaches; below 0 the mean would have been better.

    Arguments
        prediction: in the units of ``bold``.
        training_mean: 0 where BOLD is z-scored by its training volumes.

    NaN for a parcel with fewer than 3 known volumes.
    """
    known = np.isfinite(prediction) & np.isfinite(bold)
    error = np.where(known, bold - prediction, 0.0).astype(np.float64)
    deviation = np.where(known, bold - training_mean, 0.0).astype(np.float64)
    total = (deviation**2).sum(axis=0)
    usable = (known.sum(axis=0) >= 3) & (total > 0)
    share = 1 - (error**2).sum(axis=0) / np.where(usable, total, 1.0)
    return np.where(usable, share, np.nan)


def calibrated(
    prediction: Float[np.ndarray, "tr parcel"],
    bold: Float[np.ndarray, "tr parcel"],
    trs: Int[np.ndarray, " _"],
) -> Float64[np.ndarray, "tr parcel"]:
    """Predictions brought to the units of BOLD: offset and slope of each parcel, fitted on ``trs``.

    What learns by correlation has no units of its own, so R2 needs this. Slopes are never 0 or
    below, but at least a thousandth of what would give BOLD's own deviation, so that r stays.
    Give TRs that it has not learned from and is not scored on, such as those of validation.
    """
    x, y = prediction[trs].astype(np.float64), bold[trs].astype(np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    n = np.maximum(known.sum(axis=0), 1)
    x_mean, y_mean = (np.where(known, of, 0.0).sum(axis=0) / n for of in (x, y))
    dx, dy = np.where(known, x - x_mean, 0.0), np.where(known, y - y_mean, 0.0)
    power = (dx * dx).sum(axis=0)
    power = np.where(power > 0, power, np.inf)
    least = 1e-3 * np.sqrt((dy * dy).sum(axis=0) / power)
    slope = np.maximum((dx * dy).sum(axis=0) / power, least)
    offset = np.where(known.any(axis=0), y_mean, np.nan)
    return (prediction - x_mean) * slope + offset


def region_means(
    values: Float[np.ndarray, "*item parcel"], regions: Sequence[str]
) -> dict[str, Float64[np.ndarray, "*item"]]:
    """Region -> mean over its parcels of what is known, in the order in which regions appear."""
    named = np.asarray(list(regions), dtype=str)
    with warnings.catch_warnings():  # a region without any known parcel is NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        return {
            region: np.nanmean(values[..., named == region].astype(np.float64), axis=-1)
            for region in dict.fromkeys(named.tolist())
        }


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
