"""From a decoded stimulus to what drives each parcel: pure functions, so the truth is a formula."""

import math

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, UInt8
from scipy.signal import butter, find_peaks, sosfiltfilt

from subtr.params import SettingsError

RATES_HZ = (2, 4, 8)
SUB_TR_SOUND = (*(f"rate {rate} Hz" for rate in RATES_HZ), "order", "onset")
CLASSES = ("mean", *SUB_TR_SOUND, "motion")
# Log amplitude from one frame to the next, at about 43 frames a second: 3 dB.
ONSET_RISE = 0.35
ONSET_ABOVE_HZ = 10.3
ONSETS_APART_S = 0.15


def broadband_level(
    log_mel: Float[np.ndarray, "tr frame mel"],
) -> Float64[np.ndarray, "tr frame"]:
    """Mean over mel bands of the log-mel: log amplitude (tr, frame)."""
    return log_mel.mean(axis=2, dtype=np.float64)


def band_levels(
    log_mel: Float[np.ndarray, "tr frame mel"], n_bands: int
) -> Float64[np.ndarray, "tr band"]:
    """Mean level of each of ``n_bands`` ranges of neighbouring mel bands, over each TR."""
    mean = log_mel.mean(axis=1, dtype=np.float64)
    return np.stack([part.mean(axis=1) for part in np.array_split(mean, n_bands, axis=1)], axis=1)


def modulation_drive(
    level: Float64[np.ndarray, "tr frame"], frame_hz: float | int, rate_hz: float | int
) -> Float64[np.ndarray, " tr"]:
    """Root mean square within each TR of the level band-passed to an octave around ``rate_hz``.

    The filter (Butterworth, order 3, zero phase) runs over the whole stream, not TR by TR.

    Raises
        SettingsError: too few frames a second for this rate.
    """
    edges_hz = [rate_hz / math.sqrt(2), rate_hz * math.sqrt(2)]
    return np.sqrt(np.mean(_filtered(level, frame_hz, edges_hz, "bandpass") ** 2, axis=1))


def order_drive(
    level: Float64[np.ndarray, "tr frame"], tr_s: float | int
) -> Float64[np.ndarray, " tr"]:
    """Rise minus fall: least-squares slope of the level within each TR, log amplitude per second.

    Reversing time within a TR changes its sign and nothing else.
    """
    n_frames = level.shape[1]
    time_s = (np.arange(n_frames) - (n_frames - 1) / 2) * tr_s / n_frames
    return level @ time_s / np.sum(time_s**2)


def onset_drive(
    level: Float64[np.ndarray, "tr frame"], frame_hz: float | int
) -> Float64[np.ndarray, " tr"]:
    """Number of onsets in each TR.

    An onset is a peak, over ``ONSET_RISE`` and the highest within ``ONSETS_APART_S``, of the
    half-wave rectified difference of successive frames of the level, high-passed at
    ``ONSET_ABOVE_HZ`` (zero phase) so that modulation and ramps are none.

    Raises
        SettingsError: too few frames a second.
    """
    fast = _filtered(level, frame_hz, ONSET_ABOVE_HZ, "highpass").ravel()
    rise = np.maximum(np.diff(fast, prepend=fast[:1]), 0.0)
    peaks, _ = find_peaks(
        rise, height=ONSET_RISE, distance=max(1, round(ONSETS_APART_S * frame_hz))
    )
    return np.bincount(peaks // level.shape[1], minlength=len(level)).astype(np.float64)


def motion_drive(
    pictures: UInt8[np.ndarray, "tr picture height width 3"],
) -> Float64[np.ndarray, " tr"]:
    """Mean absolute difference of successive pictures of the same TR, in grey levels of 255.

    0 with a single picture a TR.
    """
    motion = np.zeros(len(pictures))
    if pictures.shape[1] > 1:
        for tr, shown in enumerate(pictures):  # one TR at a time: films are read from disk
            motion[tr] = np.abs(np.diff(shown.astype(np.int16), axis=0)).mean()
    return motion


def without_mean_sound(
    drives: Float64[np.ndarray, "tr drive"],
    log_mel: Float[np.ndarray, "tr frame mel"],
    n_components: int = 16,
) -> Float64[np.ndarray, "tr drive"]:
    """Drives less what is linear in the TR-mean log-mel (its first principal components).

    What is left cannot be had from a linear map of the same TR's averaged sound.
    """
    mean = log_mel.mean(axis=1, dtype=np.float64)
    scores, spread, _ = np.linalg.svd(mean - mean.mean(axis=0), full_matrices=False)
    n_components = min(n_components, len(mean) // 8)
    # Components without variance, as of a silent film, are rounding dust.
    scores = scores[:, :n_components][:, spread[:n_components] > 1e-6 * max(spread[0], 1e-12)]
    drives = drives - drives.mean(axis=0)
    return drives - scores @ (scores.T @ drives)


def stimulus_drives(
    log_mel: Float[np.ndarray, "tr frame mel"] | None,
    pictures: UInt8[np.ndarray, "tr picture height width 3"] | None,
    tr_s: float | int,
    n_bands: int,
) -> dict[str, Float64[np.ndarray, "tr drive"]]:
    """Class -> drives (tr, 1), of "mean" (tr, n_bands); classes whose track is None are absent."""
    drives = {}
    if log_mel is not None:
        frame_hz, level = log_mel.shape[1] / tr_s, broadband_level(log_mel)
        fast = [modulation_drive(level, frame_hz, rate) for rate in RATES_HZ]
        fast += [order_drive(level, tr_s), onset_drive(level, frame_hz)]
        left = without_mean_sound(np.stack(fast, axis=1), log_mel)
        drives["mean"] = band_levels(log_mel, n_bands)
        drives |= {name: left[:, [i]] for i, name in enumerate(SUB_TR_SOUND)}
    if pictures is not None:
        drives["motion"] = motion_drive(pictures)[:, None]
    return drives


def parcel_drives(
    drives: dict[str, Float64[np.ndarray, "tr _"]], parcels_per_class: int
) -> tuple[Float64[np.ndarray, "tr parcel"], pd.DataFrame]:
    """z-scored drive of each parcel, and the parcel table (index "order 1", ...; column tuning).

    Parcels of a class share its drive; parcel i of "mean" has band i.
    """
    names, tuning, columns = [], [], []
    for name, values in drives.items():
        for index in range(parcels_per_class):
            column = values[:, index % values.shape[1]]
            columns.append((column - column.mean()) / column.std())
            names.append(f"{name} {index + 1}")
            tuning.append(name)
    table = pd.DataFrame({"tuning": tuning}, index=pd.Index(names, name="parcel"))
    return np.stack(columns, axis=1), table


def _filtered(level, frame_hz, edges_hz, kind):
    if np.max(edges_hz) >= frame_hz / 2:
        raise SettingsError(
            f"{frame_hz:g} frames a second cannot hold {np.max(edges_hz):g} Hz: use more than "
            f"{2 * np.max(edges_hz):.0f}."
        )
    filters = butter(3, edges_hz, kind, fs=frame_hz, output="sos")
    return sosfiltfilt(filters, level.ravel()).reshape(level.shape)
