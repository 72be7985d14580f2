"""BOLD of simulated subjects: each parcel's drive through its own HRF, and noise."""

import math

import numpy as np
from jaxtyping import Float64

from subtr.bold.hrf import HRF_MODELS, hrf_kernel

HRF_PEAKS_S = (4.5, 6.5)
_AR1, _DRIFT_SHARE, _DRIFT_S = 0.3, 0.1, 150.0


def noise_free_bold(
    drives: Float64[np.ndarray, "tr parcel"],
    tr_s: float | int,
    peaks_s: Float64[np.ndarray, " parcel"],
) -> Float64[np.ndarray, "tr parcel"]:
    """Each drive through its own double gamma HRF that peaks at ``peaks_s``, then z-scored."""
    bold = np.empty_like(drives)
    for parcel, peak_s in enumerate(peaks_s):
        kernel = hrf_kernel(tr_s, HRF_MODELS["spm"].with_peak(float(peak_s)))
        bold[:, parcel] = np.convolve(drives[:, parcel], kernel)[: len(drives)]
    return (bold - bold.mean(axis=0)) / bold.std(axis=0)


def bold_noise(
    n_trs: int, n_parcels: int, tr_s: float | int, rng: np.random.Generator
) -> Float64[np.ndarray, "tr parcel"]:
    """Noise of variance 1: AR(1) of 0.3 (90 %) and drifts of 150 s and slower (10 %)."""
    white = rng.standard_normal((n_trs, n_parcels))
    noise = np.empty_like(white)
    noise[0] = white[0]
    for tr in range(1, n_trs):
        noise[tr] = _AR1 * noise[tr - 1] + math.sqrt(1 - _AR1**2) * white[tr]
    n_waves = max(1, math.floor(2 * n_trs * tr_s / _DRIFT_S))
    waves = np.cos(np.pi * np.outer(np.arange(n_trs) + 0.5, np.arange(1, n_waves + 1)) / n_trs)
    drift = waves @ rng.standard_normal((n_waves, n_parcels))
    noise = math.sqrt(1 - _DRIFT_SHARE) * _unit(noise) + math.sqrt(_DRIFT_SHARE) * _unit(drift)
    return _unit(noise)


def noise_autocovariance(n_lags: int, tr_s: float | int) -> Float64[np.ndarray, " lag"]:
    """Covariance of `bold_noise` with itself 0, 1, ... TRs later, for a long recording."""
    lags = np.arange(n_lags)
    drift = np.sinc(2 * lags * tr_s / _DRIFT_S)  # equal power at all rates up to 1 / 150 Hz
    return (1 - _DRIFT_SHARE) * _AR1**lags + _DRIFT_SHARE * drift


def subject_bold(
    signal: Float64[np.ndarray, "tr parcel"],
    tr_s: float | int,
    snr: float | int,
    rng: np.random.Generator,
) -> tuple[Float64[np.ndarray, "tr parcel"], Float64[np.ndarray, "tr parcel"]]:
    """BOLD of one subject, and its part without noise: the signal times a gain of about 1.

    ``snr`` is the variance of the signal over that of the noise, in every parcel: BOLD and signal
    correlate by about sqrt(snr / (1 + snr)).
    """
    gain = np.exp(0.1 * rng.standard_normal(signal.shape[1]))
    own = signal * gain
    noise = bold_noise(*signal.shape, tr_s, rng)
    return own + noise * own.std(axis=0) / math.sqrt(snr), own


def _unit(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)
