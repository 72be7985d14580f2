"""BOLD of a run averaged over parcels, and its confounds: volumes, surfaces and grayordinates."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import nibabel
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float64, Int64
from nilearn.interfaces.fmriprep import load_confounds
from pydantic import BaseModel, ConfigDict, Field

from subtr.datasets.bids_atlas import (
    Atlas,
    check_space,
    parcels_of_cifti,
    parcels_of_surface,
    parcels_of_volume,
)
from subtr.datasets.bids_files import Images, RunFiles
from subtr.params import StudyError
from subtr.stimulus.cache import cached_array, file_digest

Component = Literal[
    "motion", "wm_csf", "global_signal", "compcor", "high_pass", "scrub", "ica_aroma"
]
Model = Literal["basic", "power2", "derivatives", "full"]


class ConfoundSettings(BaseModel):
    """Which of fMRIPrep's confounds are regressed out, as nilearn's ``load_confounds`` takes them.

    "scrub" masks volumes rather than regressing them out. "compcor" needs "high_pass" too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    strategy: tuple[Component, ...] = ("motion", "wm_csf")
    motion: Model = "basic"
    wm_csf: Model = "basic"
    global_signal: Model = "basic"
    compcor: Literal["anat_combined", "anat_separated", "temporal", "temporal_anat_combined"] = (
        "anat_combined"
    )
    n_compcor: int | Literal["all"] = 5
    scrub: int = Field(5, ge=0)
    fd_threshold: float = Field(0.5, gt=0)
    std_dvars_threshold: float = Field(1.5, gt=0)


def parcel_bold(run: RunFiles, images: Images, atlas: Atlas) -> Float64[np.ndarray, "tr parcel"]:
    """Mean BOLD of each of the atlas's parcels, kept in the cache.

    NaN for a parcel that nothing alive of the run lies in. What is constant or not finite, such as
    the medial wall, counts in no mean.

    Raises
        StudyError: the atlas does not fit, see ``bids_atlas``; or the image cannot be read.
        CacheError: the cache cannot be written.
    """
    check_space(atlas, run)
    numbers = sorted(atlas.names)
    known = {
        "atlas": [file_digest(file) for file in atlas.files],
        "numbers": numbers,
        "others": [file_digest(file) for file in run.images[1:]],
        "images": images,
    }
    mask = run.beside("mask.nii.gz", desc="brain")
    known["mask"] = file_digest(mask) if images == "volume" and mask.is_file() else None

    def compute():
        try:
            values, parcels = _READ[images](run, atlas)
        except (OSError, nibabel.filebasedimages.ImageFileError, EOFError) as error:
            raise StudyError(f"{run.images[0]} cannot be read: {error}. Copy it again.") from error
        yield parcel_means(values, parcels, np.array(numbers))

    return np.asarray(cached_array("parcels", run.images[0], known, compute))


def parcel_means(
    values: Float[np.ndarray, "tr place"],
    parcels: Int64[np.ndarray, " place"],
    numbers: Int64[np.ndarray, " parcel"],
) -> Float64[np.ndarray, "tr parcel"]:
    """Mean over the places of each parcel that vary and are finite throughout; NaN without any."""
    with np.errstate(invalid="ignore"):
        alive = np.isfinite(values).all(axis=0) & (np.ptp(values, axis=0) > 0)
    means = np.full((len(values), len(numbers)), np.nan)
    for column, number in enumerate(numbers):
        chosen = alive & (parcels == number)
        if chosen.any():
            means[:, column] = values[:, chosen].mean(axis=1, dtype=np.float64)
    return means


def run_confounds(
    run: RunFiles, settings: ConfoundSettings, n_trs: int
) -> tuple[pd.DataFrame, Bool[np.ndarray, " tr"]]:
    """Confounds of each volume by name, of mean 0 over the run, and which volumes may be used.

    Raises
        StudyError: no confounds file, or one that lacks what the strategy asks for.
    """
    files: str | list[str] = [str(file) for file in run.images]
    files = files if len(run.images) == 2 else files[0]
    options = settings.model_dump()
    # nilearn needs a list of pairs of hemispheres; of one pair, too.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found, kept = load_confounds([files] if len(run.images) == 2 else files, **options)
    except Exception as error:
        raise StudyError(
            f"{run}: its confounds cannot be had ({error}). Expected fMRIPrep's "
            f"{run.beside('timeseries.tsv', space=False, desc='confounds').name} beside the BOLD, "
            f"with what strategy {list(settings.strategy)} asks for; or set confounds: null."
        ) from error
    found, kept = (one[0] if isinstance(one, list) else one for one in (found, kept))
    usable = np.ones(n_trs, bool)
    if kept is not None:
        usable[:] = False
        usable[kept] = True
    table = pd.DataFrame(index=range(n_trs)) if found is None else found
    if len(table) != n_trs:
        raise StudyError(f"{run}: {n_trs} volumes, but {len(table)} rows of confounds.")
    if lacking := [str(name) for name in table if not np.isfinite(table[name]).all()]:
        raise StudyError(f"{run}: confounds {', '.join(lacking)} have missing values.")
    return table, usable


def joined_confounds(
    tables: list[pd.DataFrame],
) -> Float64[np.ndarray, "tr confound"] | None:
    """Confounds of runs one after the other, and the level of each run but the first.

    A confound that a run lacks, such as one more component, is 0 there. Weights are then shared by
    all runs, so that those of the training TRs can clean a run that was not trained on.
    """
    n_trs = [len(table) for table in tables]
    joined = pd.concat(tables, ignore_index=True).fillna(0.0).to_numpy(np.float64)
    levels = np.repeat(np.eye(len(tables))[:, 1:], n_trs, axis=0)
    joined = np.concatenate([joined, levels], axis=1)
    return joined if joined.shape[1] else None


def _volume(run: RunFiles, atlas: Atlas):
    parcels = parcels_of_volume(atlas, run)
    image = nibabel.load(run.images[0])
    if image.ndim != 4:
        raise StudyError(f"{run.images[0]} has shape {image.shape}: expected volumes over time.")
    inside = parcels > 0
    values = np.asanyarray(image.dataobj)[inside].astype(np.float32)
    return values.T, parcels[inside]


def _surface(run: RunFiles, atlas: Atlas):
    sides = parcels_of_surface(atlas, run)
    values = [_gifti(file) for file in run.images]
    if len({len(of) for of in values}) != 1:
        raise StudyError(f"{run}: {len(values[0])} volumes left, {len(values[1])} right.")
    return np.concatenate(values, axis=1), np.concatenate(sides)


def _gifti(file: Path) -> np.ndarray:
    return np.stack([np.asarray(array.data, np.float32) for array in nibabel.load(file).darrays])


def _cifti(run: RunFiles, atlas: Atlas):
    values = np.asanyarray(nibabel.load(run.images[0]).dataobj).astype(np.float32)
    return values, parcels_of_cifti(atlas, run)


_READ: Mapping = {"volume": _volume, "surface": _surface, "cifti": _cifti}
