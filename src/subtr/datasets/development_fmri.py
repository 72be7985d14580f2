"""Children and adults who watched a short silent film, fetched through nilearn.

Source: Richardson, Lisandrelli, Riobueno-Naylor and Saxe 2018, Development of the social brain from
age three to twelve years, Nature Communications 9; OpenNeuro ds000228. Parcels are the 39 maps of
MSDL (Varoquaux et al. 2011), also through nilearn.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float64
from nilearn.datasets import fetch_atlas_msdl, fetch_development_fmri
from nilearn.maskers import NiftiMapsMasker
from pydantic import Field

from subtr.datasets.study import Study
from subtr.params import StudyError
from subtr.stimulus.cache import cache_dir, cached_array, file_digest
from subtr.stimulus.media import probe
from subtr.stimulus.mel import MelSettings, log_mel_of_media
from subtr.stimulus.pictures import PictureSettings, pictures_of_media
from subtr.timeline import Clock

TR_S = 2.0

_NOT_CONFOUNDS = ("framewise_displacement",)


def load_development_fmri(
    media: Path | None = None,
    *,
    n_subjects: Annotated[int, Field(ge=1, le=155)] = 10,
    age_group: Literal["adults", "child", "both"] = "both",
    tr_s: Annotated[float | int, Field(ge=TR_S, le=TR_S)] = TR_S,
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
    series = [_parcels(Path(file), Path(atlas.maps)) for file in found.func]
    clock = Clock(TR_S, len(series[0]), float(onset_s), frames_per_tr)
    moved = {}
    if confounds:
        moved = {name: _confounds(Path(file), clock.n_trs)
                 for name, file in zip(names, found.confounds, strict=True)}  # fmt: skip
    sound = seen = None
    if media is not None:
        media = Path(media)
        info = probe(media)
        if mel is not None and info.sound_rate_hz is not None:
            sound = log_mel_of_media(media, clock, mel)
        if pictures is not None and info.width is not None:
            seen = pictures_of_media(media, clock, pictures)
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


def _parcels(file: Path, maps: Path) -> Float64[np.ndarray, "tr parcel"]:
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
    table = pd.read_csv(file, sep="\t").drop(columns=list(_NOT_CONFOUNDS), errors="ignore")
    values = table.to_numpy(np.float64)
    if len(values) != n_trs or not np.isfinite(values).all():
        raise StudyError(
            f"{file}: expected {n_trs} rows of finite confounds, found {len(values)}. Delete it, "
            "to fetch it again, or set confounds: false."
        )
    return values
