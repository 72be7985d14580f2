"""The simulated study: a generated or a given film, and BOLD by a forward model that is known."""

import warnings
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field
from tqdm.auto import tqdm

from subtr.datasets.forward_model import parcel_drives, stimulus_drives
from subtr.datasets.generated_carriers import RATE_HZ
from subtr.datasets.generated_pictures import PICTURE_HZ, iter_generated_pictures, picture_scenes
from subtr.datasets.generated_sound import render_sound, sound_scenes
from subtr.datasets.simulated_bold import HRF_PEAKS_S, noise_free_bold, subject_bold
from subtr.params import StudyError, StudyWarning
from subtr.stimulus.cache import CacheError, cache_dir
from subtr.stimulus.media import probe
from subtr.stimulus.mel import MelSettings, log_mel_of_media
from subtr.stimulus.pictures import PictureSettings, pictures_of_media, write_film
from subtr.study import Study
from subtr.timeline import Clock

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
    has_sound = info.sound_rate_hz is not None
    has_pictures = info.width is not None
    for has, track, lost in (
        (has_sound, "sound", "all classes but motion"),
        (has_pictures or pictures is None, "picture", "the class motion"),
    ):
        if not has:
            warnings.warn(
                f"{film} has no {track} track: {lost} left out.", StudyWarning, stacklevel=2
            )
    pictures = pictures if has_pictures else None
    forward_clock = clock.with_frames(max(1, round(tr_s * _FORWARD_FRAME_HZ)))
    drives = stimulus_drives(
        log_mel_of_media(film, forward_clock, MelSettings()) if has_sound else None,
        pictures_of_media(film, clock, PictureSettings()) if pictures else None,
        tr_s,
        parcels_per_class,
    )
    drives = _varying(drives, film)
    rng = np.random.default_rng([seed, 21])
    activity, parcels = parcel_drives(drives, parcels_per_class)
    signal = noise_free_bold(activity, tr_s, rng.uniform(*HRF_PEAKS_S, len(parcels)))
    bold, truth = {}, {"group": {"drives": activity, "signal": signal}}
    for index in range(n_subjects):
        subject = f"simulated {index + 1}"
        bold[subject], own = subject_bold(signal, tr_s, snr, rng)
        truth[subject] = {"signal": own}
    return Study(
        name="simulated",
        clock=clock,
        mel=log_mel_of_media(film, clock, mel) if has_sound else None,
        mel_settings=mel,
        pictures=pictures_of_media(film, clock, pictures) if pictures else None,
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
    try:
        film.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheError(
            f"{film.parent} cannot be made: {error.strerror}. Set SUBTR_CACHE to a folder that "
            "you can write to."
        ) from error
    sound = render_sound(sound_scenes(duration_s, tr_s, seed), tr_s, seed)
    shown = iter_generated_pictures(*picture_scenes(duration_s, tr_s, seed), seed)
    shown = _with_bar(shown, round(duration_s * PICTURE_HZ))
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


def _with_bar(pictures, n_pictures):
    with tqdm(total=n_pictures, desc="film", unit="picture", delay=3, disable=None) as bar:
        for picture in pictures:
            yield picture
            bar.update()
