"""The user's own film, with BOLD from a folder of arrays or without."""

import math
import warnings
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import Field

from subtr.datasets.study import Study
from subtr.params import SettingsError, StudyError, StudyWarning
from subtr.stimulus.media import MediaError, MediaInfo, probe
from subtr.stimulus.mel import MelSettings, log_mel_of_media
from subtr.stimulus.pictures import PictureSettings, pictures_of_media
from subtr.timeline import Clock

PARCELS_FILE = "parcels.csv"


def read_bold_folder(
    folder: Path,
) -> tuple[dict[str, Float[np.ndarray, "_ _"]], pd.DataFrame]:
    """BOLD of each subject, and the table of parcels.

    Floating-point ``.npy`` are memory-mapped, so that there may be more of them than memory.

    Arguments
        folder: holds ``<subject>.npy``, ``.csv`` or ``.tsv``, rows TRs and columns parcels; a
            header of names is optional, "n/a" marks a missing value. ``parcels.csv``, if there,
            has the parcels' names in its first column and a column ``tuning``, their class.

    Returns
        subject -> (TR, parcel) in the files' unit, and the table, index names, column tuning.

    Raises
        StudyError: no folder, no arrays, or one that is not numbers (TR, parcel).
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise StudyError(f"bold = {str(folder)!r}: no such folder; expected one of <subject>.npy.")
    files = [
        file
        for file in sorted(folder.iterdir())
        if file.suffix in (".npy", ".csv", ".tsv") and file.name != PARCELS_FILE
    ]
    if not files:
        raise StudyError(f"{folder} holds no .npy, .csv or .tsv: expected one a subject.")
    bold, names, named_by = {}, None, None
    for file in files:
        if file.stem in bold:
            raise StudyError(f"{folder} has two files of subject {file.stem}: keep one.")
        bold[file.stem], own = _read(file)
        if names and own and own != names:
            raise StudyError(
                f"{file} names other parcels than {named_by.name} ({', '.join(own[:4])}, ... "
                f"against {', '.join(names[:4])}, ...): expected the same, in the same order."
            )
        if own and not names:
            names, named_by = own, file
    if (folder / PARCELS_FILE).exists():
        return bold, _read_parcels(folder / PARCELS_FILE, names)
    n_parcels = next(iter(bold.values())).shape[1]
    names = names or [f"parcel {number + 1}" for number in range(n_parcels)]
    return bold, pd.DataFrame({"tuning": "all"}, index=names)


def _read(file: Path) -> tuple[np.ndarray, list[str] | None]:
    """Values (TR, parcel) and the header's names, if there is a header."""
    try:
        if file.suffix == ".npy":
            # It stays on disk until it is used, a subject at a time.
            values, names = np.load(file, mmap_mode="r", allow_pickle=False), None
        else:
            separator = "," if file.suffix == ".csv" else "\t"
            table = pd.read_csv(file, sep=separator, header=None, dtype=str)
            header = pd.to_numeric(table.iloc[0], errors="coerce").isna() & table.iloc[0].notna()
            names = table.iloc[0].astype(str).tolist() if header.any() else None
            values = table.iloc[1 if names else 0 :].astype(np.float64).to_numpy()
        if not np.issubdtype(values.dtype, np.floating):
            values = np.asarray(values, np.float64)
    except (OSError, ValueError, TypeError, EOFError, pd.errors.ParserError) as error:
        raise StudyError(
            f"{file} cannot be read: expected an array of numbers, rows TRs, columns parcels "
            f"({error})."
        ) from error
    if values.ndim != 2 or 0 in values.shape:
        raise StudyError(
            f"{file} has shape {values.shape}: expected (TR, parcel), a column for each parcel."
        )
    return values, names


def _read_parcels(file: Path, names: list[str] | None) -> pd.DataFrame:
    try:
        table = pd.read_csv(file, index_col=0)
    except (OSError, ValueError) as error:
        raise StudyError(f"{file} is no table: {error}") from error
    if "tuning" not in table:
        found = ", ".join(map(str, table.columns)) or "none"
        raise StudyError(f"{file} has no column tuning (found: {found}): name each parcel's class.")
    table.index = table.index.astype(str)
    if names and names != table.index.tolist():
        raise StudyError(
            f"{file} names other parcels than the headers of the BOLD ({', '.join(names[:6])}, "
            "...): expected the same, in the same order."
        )
    return table


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
