"""Any film or sound of the user's, with or without their own BOLD."""

import math
import warnings
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from subtr.datasets.bold_folder import read_bold_folder
from subtr.params import SettingsError, StudyError, StudyWarning
from subtr.stimulus.media import MediaError, MediaInfo, probe
from subtr.stimulus.mel import MelSettings, log_mel_of_media
from subtr.stimulus.pictures import PictureSettings, pictures_of_media
from subtr.study import Study
from subtr.timeline import Clock


def load_film(
    media: Path | None = None,
    *,
    tr_s: Annotated[float | int, Field(ge=0.1, le=20)] = 1.5,
    frames_per_tr: Annotated[int, Field(ge=1, le=4096)] = 64,
    onset_s: Annotated[float | int, Field(allow_inf_nan=False)] = 0.0,
    n_trs: Annotated[int, Field(ge=1)] | None = None,
    mel: MelSettings | None = MelSettings(),  # noqa: B008
    pictures: PictureSettings | None = PictureSettings(),  # noqa: B008
    bold: Path | None = None,
) -> Study:
    """The study of one media file, called "film-<name of the file>".

    Arguments
        media: a film or a sound.
        tr_s: repetition time in seconds.
        frames_per_tr: frames of the log-mel in each TR.
        onset_s: stimulus second at which volume 0 begins.
        n_trs: volumes to use; film and BOLD are cut after them. None for all that the film covers,
            and BOLD must then have as many.
        mel, pictures: what a model is shown; None leaves sound or pictures out.
        bold: a folder of BOLD, see ``read_bold_folder``; None for a study without.

    A track that the file lacks is left out with a ``StudyWarning``.

    Raises
        SettingsError: no film given, or settings that leave nothing of it.
        StudyError: film and BOLD differ in length, or the BOLD cannot be read.
        MediaError, CacheError: the file cannot be used, or the cache not written.
    """
    if media is None:
        raise SettingsError("The study 'film' needs a film: make run FILM=path/to/film.mp4")
    if mel is None and pictures is None:
        raise SettingsError("mel and pictures are both null: keep one, for a model to learn from.")
    media = Path(media)
    info = probe(media)
    mel, pictures = _present(info, mel, pictures)
    clock = _clock(info, float(tr_s), frames_per_tr, float(onset_s), n_trs)
    subjects, parcels = _bold(media, bold, clock, cut=n_trs is not None)
    name = f"film-{media.stem}"
    with warnings.catch_warnings():
        # What is wrong with the BOLD should show before an hour of film is decoded.
        warnings.simplefilter("ignore", StudyWarning)
        Study(name=name, clock=clock, bold=subjects, parcels=parcels)
    return Study(
        name=name,
        clock=clock,
        mel=log_mel_of_media(media, clock, mel) if mel else None,
        mel_settings=mel or MelSettings(),
        pictures=pictures_of_media(media, clock, pictures) if pictures else None,
        bold=subjects,
        parcels=parcels,
        media=media,
    )


def _present(info: MediaInfo, mel: MelSettings | None, pictures: PictureSettings | None):
    """The settings of the tracks that the file has."""
    lacks = [
        track
        for track, settings, found in (
            ("sound", mel, info.sound_rate_hz),
            ("picture", pictures, info.width),
        )
        if settings and found is None
    ]
    kept = mel if "sound" not in lacks else None, pictures if "picture" not in lacks else None
    if lacks and kept == (None, None):
        raise MediaError(
            f"{info.path} has no {lacks[0]} track, and the study uses nothing else. Give another "
            "file, or switch the other track on."
        )
    for track in lacks:
        warnings.warn(
            f"{info.path} has no {track} track: {track}s are left out.", StudyWarning, stacklevel=4
        )
    return kept


def _clock(
    info: MediaInfo, tr_s: float, frames_per_tr: int, onset_s: float, n_trs: int | None
) -> Clock:
    if onset_s + tr_s > info.duration_s + 1e-6:
        raise SettingsError(
            f"onset_s = {onset_s:g}: {info.path} lasts {info.duration_s:.2f} s, which leaves no "
            f"TR of {tr_s:g} s. Use a longer film, an earlier onset or a shorter tr_s."
        )
    options = {"onset_s": onset_s, "frames_per_tr": frames_per_tr}
    covering = Clock.covering(info.duration_s - onset_s, tr_s, **options)
    if n_trs is None:
        return covering
    # A last TR that the film ends in is good: what is missing of it is silence.
    if n_trs > math.ceil((info.duration_s - onset_s) / tr_s):
        raise StudyError(
            f"n_trs = {n_trs}: {info.path} covers {covering.n_trs} TRs of {tr_s:g} s from second "
            f"{onset_s:g} on. Use fewer, or a longer film."
        )
    return Clock(tr_s, n_trs, **options)


def _bold(media: Path, folder: Path | None, clock: Clock, cut: bool):
    if folder is None:
        return {}, pd.DataFrame({"tuning": []})
    subjects, parcels = read_bold_folder(folder)
    for name, bold in subjects.items():
        fits = len(bold) == clock.n_trs or (cut and len(bold) > clock.n_trs)
        if bold.shape[1] == clock.n_trs and not fits:
            raise StudyError(
                f"BOLD of {name} has shape {bold.shape}, and {media} {clock.n_trs} TRs: it lies on "
                "its side; expected (TR, parcel)."
            )
    if cut:
        subjects = {name: bold[: clock.n_trs] for name, bold in subjects.items()}
    return subjects, parcels
