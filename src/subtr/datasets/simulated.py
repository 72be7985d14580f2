"""The simulated study: a generated film, and BOLD by a forward model of it that is known."""

import math
import warnings
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, UInt8
from pydantic import Field
from scipy.signal import butter, find_peaks, lfilter, sosfiltfilt
from tqdm.auto import tqdm

from subtr.bold.hrf import HRF_MODELS, hrf_kernel
from subtr.datasets.simulated_film import (
    PICTURE_HZ,
    RATE_HZ,
    iter_generated_pictures,
    picture_scenes,
    render_sound,
    sound_scenes,
)
from subtr.datasets.study import Study
from subtr.params import SettingsError, StudyError, StudyWarning
from subtr.stimulus.cache import cache_dir, writing
from subtr.stimulus.media import probe
from subtr.stimulus.mel import MelSettings
from subtr.stimulus.pictures import PictureSettings, tracks_of_media, write_film
from subtr.timeline import Clock

RATES_HZ = (2, 4, 8)
SUB_TR_SOUND = (*(f"rate {rate} Hz" for rate in RATES_HZ), "order", "onset")

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
            columns.append(_unit(values[:, index % values.shape[1]]))
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
    return _unit(bold)


def bold_noise(
    n_trs: int, n_parcels: int, tr_s: float | int, rng: np.random.Generator
) -> Float64[np.ndarray, "tr parcel"]:
    """Noise of variance 1: AR(1) of 0.3 (90 %) and drifts of 150 s and slower (10 %)."""
    white = rng.standard_normal((n_trs, n_parcels))
    white[1:] *= math.sqrt(1 - _AR1**2)
    noise = lfilter([1.0], [1.0, -_AR1], white, axis=0)
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


# Raise it when the generated film changes.
FORMAT = 3

# The truth must not depend on what a model is shown, so the forward model has its own frames.
_FORWARD_FRAME_HZ = 128 / 3


def load_simulated(
    media: Path | None = None,
    *,
    duration_s: Annotated[float | int, Field(ge=30, le=14_400)] = 720.0,
    tr_s: Annotated[float | int, Field(ge=0.5, le=10)] = 1.5,
    frames_per_tr: Annotated[int, Field(ge=1, le=4096)] = 64,
    n_subjects: Annotated[int, Field(ge=1, le=100)] = 4,
    parcels_per_class: Annotated[int, Field(ge=1, le=64)] = 4,
    snr: Annotated[float | int, Field(gt=0, le=1e6)] = 1.0,
    seed: Annotated[int, Field(ge=0)] = 0,
    mel: MelSettings = MelSettings(),  # noqa: B008
    pictures: PictureSettings | None = PictureSettings(),  # noqa: B008
) -> Study:
    """A study whose every answer is known.

    Parcels are tuned, in classes, to "mean" (level of a range of mel bands), "rate 2 Hz", "rate
    4 Hz", "rate 8 Hz" (modulation), "order" (rise or fall within the TR), "onset" (their number)
    and "motion": see ``forward_model``. Truth holds, for each subject, ``signal`` (BOLD without
    noise); under "group" also ``drives``, each parcel's before the HRF.

    Arguments
        media: a film or sound to use; None for the generated one, which is then written once to
            the cache as mp4, and read back like any other file.
        duration_s: length of the generated film in seconds.
        tr_s: repetition time in seconds.
        frames_per_tr: frames of the log-mel in each TR.
        n_subjects: number of subjects.
        parcels_per_class: parcels for each class, each with its own HRF.
        snr: variance of the signal over that of the noise, in one subject.
        seed: of film, HRFs and noise.
        mel, pictures: what a model is shown; no pictures (None) means no "motion" either.

    Classes that a given film cannot drive are left out with a ``StudyWarning``.

    Raises
        StudyError: the film is too short, or drives no class at all.
        MediaError, CacheError: see ``media`` and ``cache``.
    """
    generated = media is None
    film = generated_film(duration_s, tr_s, seed) if generated else Path(media)
    info = probe(film)
    length_s = duration_s if generated else info.duration_s
    if length_s < 20 * tr_s:
        raise StudyError(
            f"{film} lasts {length_s:.1f} s: expected at least 20 TRs of {tr_s:g} s. Use a longer "
            "film or a shorter tr_s."
        )
    clock = Clock.covering(float(length_s), float(tr_s), frames_per_tr=frames_per_tr)
    for lacks, track, lost in (
        (info.sound_rate_hz is None, "sound", "all classes but motion"),
        (info.width is None and pictures is not None, "picture", "the class motion"),
    ):
        if lacks:
            warnings.warn(
                f"{film} has no {track} track: {lost} left out.", StudyWarning, stacklevel=2
            )
    forward_clock = clock.with_frames(max(1, round(tr_s * _FORWARD_FRAME_HZ)))
    heard, _ = tracks_of_media(film, [forward_clock], MelSettings(), None)
    _, seen = tracks_of_media(film, [clock], None, PictureSettings() if pictures else None)
    drives = stimulus_drives(heard, seen, tr_s, parcels_per_class)
    drives = _varying(drives, film)
    rng = np.random.default_rng([seed, 21])
    activity, parcels = parcel_drives(drives, parcels_per_class)
    signal = noise_free_bold(activity, tr_s, rng.uniform(*HRF_PEAKS_S, len(parcels)))
    bold, truth = {}, {"group": {"drives": activity, "signal": signal}}
    for index in range(n_subjects):
        subject = f"simulated {index + 1}"
        bold[subject], own = subject_bold(signal, tr_s, snr, rng)
        truth[subject] = {"signal": own}
    sound, seen = tracks_of_media(film, [clock], mel, pictures)
    return Study(
        name="simulated",
        clock=clock,
        mel=sound,
        mel_settings=mel,
        pictures=seen,
        bold=bold,
        parcels=parcels,
        truth=truth,
        media=film,
        labels=scene_labels(clock, duration_s, seed) if generated else None,
        notes=("BOLD is simulated from the stimulus by a known forward model.",),
        bold_lag_s=5.0,
    )


def generated_film(duration_s: float | int, tr_s: float | int, seed: int) -> Path:
    """The generated film, an mp4 in the cache; written there the first time.

    Raises
        CacheError: the cache cannot be written. StudyError: see ``generated_sound``.
    """
    name = f"generated-{FORMAT}-seed{seed}-{duration_s:g}s-tr{tr_s:g}s.mp4"
    film = cache_dir() / name
    if film.exists():
        return film
    with writing(film):
        film.parent.mkdir(parents=True, exist_ok=True)
    sound = render_sound(sound_scenes(duration_s, tr_s, seed), tr_s, seed)
    shown = iter_generated_pictures(*picture_scenes(duration_s, tr_s, seed), seed)
    bar = {"total": round(duration_s * PICTURE_HZ), "desc": "film", "unit": "picture", "delay": 3}
    shown = iter(tqdm(shown, **bar, disable=None))
    return write_film(film, shown, PICTURE_HZ, sound, RATE_HZ)


def scene_labels(clock: Clock, duration_s: float | int, seed: int) -> pd.DataFrame:
    """What a generated film holds in each TR: one row a TR.

    Columns of ``sound_scenes`` and ``picture_scenes`` less onset_s and duration_s; sound_scene and
    picture_scene number the scenes.
    """
    times_s = clock.tr_times_s()
    sound = sound_scenes(duration_s, clock.tr_s, seed)
    shown, _ = picture_scenes(duration_s, clock.tr_s, seed)
    parts = []
    for name, scenes in (("sound_scene", sound), ("picture_scene", shown)):
        index = np.searchsorted(scenes["onset_s"] - 1e-6, times_s, side="right") - 1
        rows = scenes.drop(columns=["onset_s", "duration_s"]).iloc[index].reset_index(drop=True)
        parts.append(rows.assign(**{name: index}))
    return pd.concat(parts, axis=1)


def _varying(drives, film):
    """The classes that the film drives at all."""
    kept = {name: values for name, values in drives.items() if (values.std(axis=0) > 1e-9).all()}
    if lost := sorted(set(drives) - set(kept)):
        warnings.warn(
            f"{film} never varies in what drives {', '.join(lost)}: left out.",
            StudyWarning,
            stacklevel=3,
        )
    if not kept:
        raise StudyError(f"{film} drives no class of parcels: use a film with sound or motion.")
    return kept
