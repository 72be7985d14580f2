"""Chance level of correlations between smooth series: one moved along in time against the other."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy import fft

from subtr.metrics.bold import standardise_by_fold
from subtr.params import SettingsError

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
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0, dtype=np.float64) / count
    centred = np.where(known, values - mean, 0.0)
    scale = np.sqrt((centred**2).sum(axis=0) / count)
    # A constant series leaves dust that must not be blown up.
    dust = 1e-10 * np.abs(mean) + 1e-300
    centred = np.where(scale > dust, centred / np.where(scale > dust, scale, 1.0), 0.0)
    n_trs = len(values)
    each = (known.astype(np.float64), centred, centred**2)
    return tuple((fft.rfft(of, axis=0), n_trs) for of in each)


def _moved(fixed: tuple, moving: tuple) -> np.ndarray:
    """Sum over time of fixed[t] moving[t - shift], for every shift."""
    return fft.irfft(fixed[0] * np.conj(moving[0]), fixed[1], axis=0)
