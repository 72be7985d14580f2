"""Chance level of correlations between smooth series: one moved along in time against the other."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy import fft

from subtr.errors import SettingsError


def shifted_r(
    prediction: Float[np.ndarray, "tr parcel"],
    bold: Float[np.ndarray, "tr parcel"],
    blocks: Sequence[Int[np.ndarray, " _"]] | None = None,
) -> Float64[np.ndarray, "shift parcel"]:
    """r at every shift of the prediction along in time, wrapped around; row 0 is as observed.

    Within each block both series are standardised, after the shift, so that every row is the score
    that `standardise_by_fold` and `pearson_r` give: the mean of the blocks' r by their length. All
    shifts together cost a few Fourier transforms (the correlation theorem).

    Arguments
        prediction, bold: NaN where unknown; pairs of known values alone count.
        blocks: positions of each test block, disjoint; one block of all TRs if omitted.

    NaN where a parcel has a constant series or fewer than 3 known pairs in every block.
    """
    n_trs = len(bold)
    blocks = [np.arange(n_trs)] if blocks is None else blocks
    x = _parts(prediction)
    total, weight = np.zeros((2, n_trs, bold.shape[1]))
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
        usable = (n >= 3) & (x_variance > 1e-10 * x_square) & (y_variance > 1e-10 * y_square)
        product = np.where(usable, x_variance * y_variance, 1.0)
        r = (_moved(y[1], x[1]) / safe - x_mean * y_mean) / np.sqrt(product)
        total += np.where(usable, n * np.clip(r, -1.0, 1.0), 0.0)
        weight += np.where(usable, n, 0.0)
    return np.where(weight > 0, total / np.maximum(weight, 1), np.nan)


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
