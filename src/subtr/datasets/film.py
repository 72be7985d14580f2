"""Films of one file: the user's, with BOLD from a folder of arrays or without; and nilearn's."""

import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64
from nilearn.datasets import fetch_atlas_msdl, fetch_development_fmri
from nilearn.maskers import NiftiMapsMasker
from pydantic import Field

from subtr.datasets.study import Study
from subtr.params import SettingsError, StudyError, StudyWarning
from subtr.stimulus.cache import cache_dir, cached_array, file_digest
from subtr.stimulus.media import MediaError, MediaInfo, probe
from subtr.stimulus.mel import MelSettings
from subtr.stimulus.pictures import PictureSettings, tracks_of_media
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
    sound, seen = tracks_of_media(media, [clock], mel, pictures)
    return Study(
        name=name,
        clock=clock,
        mel=sound,
        mel_settings=mel or MelSettings(),
        pictures=seen,
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


# Children and adults who watched a short silent film, fetched through nilearn.
#
# Source: Richardson, Lisandrelli, Riobueno-Naylor and Saxe 2018, Development of the social brain
# from age three to twelve years, Nature Communications 9; OpenNeuro ds000228. Parcels are the 39
# maps of MSDL (Varoquaux et al. 2011), also through nilearn.

_PIXAR_TR_S = 2.0


def load_development_fmri(
    media: Path | None = None,
    *,
    n_subjects: Annotated[int, Field(ge=1, le=155)] = 10,
    age_group: Literal["adults", "child", "both"] = "both",
    tr_s: Annotated[float | int, Field(ge=2, le=2)] = _PIXAR_TR_S,
    frames_per_tr: Annotated[int, Field(ge=1, le=4096)] = 64,
    onset_s: Annotated[float | int, Field(allow_inf_nan=False)] = 0.0,
    mel: MelSettings | None = None,
    pictures: PictureSettings | None = PictureSettings(),  # noqa: B008
    confounds: bool = True,
    data_dir: Path | None = None,
) -> Study:
    """The study: BOLD of nilearn's ``fetch_development_fmri``, about 6 MB a subject.

    The film (Pixar's "Partly Cloudy") may not be passed on: give a copy of yours; without, the
    study has BOLD alone.

    Arguments
        media: the film. It was shown without sound, so ``mel`` is off by default.
        n_subjects, age_group: as nilearn takes them; of both, as many adults and children as there
            are in proportion.
        tr_s: repetition time in seconds; these data have 2.
        frames_per_tr, mel, pictures: what a model is shown of the film.
        onset_s: second of your copy at which the first volume begins, negative where the scan began
            before the film. Nothing with the data says it: look at the lag scan before you trust
            any result.
        confounds: whether head motion and the signals of white matter, CSF and CompCor that come
            with the data are regressed out, by weights of the training TRs.
        data_dir: where nilearn keeps data; None for the cache.

    Raises
        StudyError: offline with nothing there, or files that do not fit together.
        MediaError, CacheError: see ``log_mel_of_media``.
    """
    where = Path(data_dir).expanduser() if data_dir else cache_dir() / "data" / "nilearn"
    found = _fetched(
        "development_fmri", where,
        lambda: fetch_development_fmri(n_subjects, data_dir=where, age_group=age_group, verbose=0),
    )  # fmt: skip
    atlas = _fetched("the MSDL atlas", where, lambda: fetch_atlas_msdl(data_dir=where, verbose=0))
    names = [str(name) for name in found.phenotypic["participant_id"]]
    series = [_map_series(Path(file), Path(atlas.maps)) for file in found.func]
    clock = Clock(_PIXAR_TR_S, len(series[0]), float(onset_s), frames_per_tr)
    moved = {}
    if confounds:
        moved = {name: _confounds(Path(file), clock.n_trs)
                 for name, file in zip(names, found.confounds, strict=True)}  # fmt: skip
    sound = seen = None
    if media is not None:
        media = Path(media)
        sound, seen = tracks_of_media(media, [clock], mel, pictures)
    return Study(
        name="development_fmri",
        clock=clock,
        mel=sound,
        mel_settings=mel or MelSettings(),
        pictures=seen,
        bold=dict(zip(names, series, strict=True)),
        parcels=pd.DataFrame({"tuning": list(atlas.networks)}, index=list(atlas.labels)),
        confounds=moved,
        media=media,
        notes=("Nothing with the data says when the film began: onset_s is the user's.",),
    )


def _fetched(what: str, where: Path, fetch: Callable):
    """What nilearn fetches; raises StudyError where that cannot be had."""
    try:
        return fetch()
    except Exception as error:  # nilearn passes on whatever urllib, requests and tarfile raise
        offline = " SUBTR_OFFLINE is set." if os.environ.get("SUBTR_OFFLINE") else ""
        raise StudyError(
            f"{what} cannot be fetched by nilearn into {where} ({type(error).__name__}: {error})."
            f"{offline} Connect to the internet, or set data_dir to a folder that holds it."
        ) from error


def _map_series(file: Path, maps: Path) -> Float64[np.ndarray, "tr parcel"]:
    """BOLD of each map, kept in the cache."""

    def compute():
        masker = NiftiMapsMasker(maps, resampling_target="data", standardize=None)
        try:
            yield np.asarray(masker.fit_transform(file), np.float64)
        except (OSError, ValueError, EOFError) as error:
            message = f"{file} cannot be read: {error}. Delete it, to fetch it again."
            raise StudyError(message) from error

    return np.asarray(cached_array("msdl", file, {"maps": file_digest(maps)}, compute))


def _confounds(file: Path, n_trs: int) -> Float64[np.ndarray, "tr confound"]:
    table = pd.read_csv(file, sep="\t").drop(columns="framewise_displacement", errors="ignore")
    values = table.to_numpy(np.float64)
    if len(values) != n_trs or not np.isfinite(values).all():
        raise StudyError(
            f"{file}: expected {n_trs} rows of finite confounds, found {len(values)}. Delete it, "
            "to fetch it again, or set confounds: false."
        )
    return values
