"""BOLD of a BIDS derivative: atlases, parcel means and confounds."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nibabel
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float64, Int64
from nilearn.image import resample_to_img
from nilearn.interfaces.fmriprep import load_confounds
from nilearn.surface import load_surf_data
from pydantic import BaseModel, ConfigDict, Field

from subtr.datasets.bids_files import Images, RunFiles
from subtr.params import StudyError
from subtr.stimulus.cache import cached_array, file_digest

_BACKGROUND = re.compile(r"\?\?\?|unknown|background|medial.?wall|corpuscallosum", re.IGNORECASE)


@dataclass(frozen=True)
class Atlas:
    """Parcels by number; 0 is none.

    Arguments
        files: one, or left and right of a surface.
        names: number -> name. Right hemispheres of a surface count on from the left one's.
        classes: number -> class, "all" where the atlas has none.
    """

    files: tuple[Path, ...]
    names: dict[int, str]
    classes: dict[int, str]

    @property
    def table(self) -> pd.DataFrame:
        """Index: names; column tuning: classes."""
        numbers = sorted(self.names)
        classes = [self.classes.get(number, "all") for number in numbers]
        return pd.DataFrame({"tuning": classes}, index=[self.names[number] for number in numbers])


def read_atlas(files: tuple[Path, ...], labels: Path | None = None) -> Atlas:
    """The names of an atlas's parcels.

    Arguments
        files: a labels image (``.nii``, ``.nii.gz``), ``.dlabel.nii``, or left and right
            ``.label.gii`` or ``.annot``.
        labels: of a labels image, a table with columns index and name, and a class in "tuning" or
            "network"; by default the ``.tsv`` that is called as the image is.

    Raises
        StudyError: no such file, or none that this can read.
    """
    for file in files:
        if not file.is_file():
            raise StudyError(f"atlas: {file} does not exist.")
    if len(files) == 2:
        names = {}
        for side, file in zip("LR", files, strict=True):
            offset = max(names, default=0)
            own = _surface_names(file)
            names |= {offset + key: f"{side} {name}" for key, name in own.items()}
        return Atlas(files, names, {})
    (file,) = files
    if file.name.endswith(".dlabel.nii"):
        label = nibabel.load(file).header.get_axis(0).label[0]
        names = {int(key): name for key, (name, _) in label.items()}
        return Atlas(files, _real(names), {})
    beside = file.with_name(file.name.split(".")[0] + ".tsv")
    table = labels if labels is not None else beside if beside.is_file() else None
    found = np.unique(_atlas_volume(file))
    numbers = [int(number) for number in found if number > 0]
    if table is None:
        return Atlas(files, {number: f"parcel {number}" for number in numbers}, {})
    try:
        read = pd.read_csv(table, sep=None, engine="python").set_index("index")
        names = {number: str(read["name"].get(number, f"parcel {number}")) for number in numbers}
    except (OSError, KeyError, ValueError) as error:
        raise StudyError(f"{table}: expected a table with columns index and name.") from error
    for column in ("tuning", "network"):
        if column in read:
            return Atlas(files, names, {n: str(read[column].get(n, "all")) for n in numbers})
    return Atlas(files, names, {})


def check_space(atlas: Atlas, run: RunFiles) -> None:
    """Raises StudyError where the names of an atlas and of a run's BOLD state different spaces."""
    space = run.entities.get("space")
    for file in atlas.files:
        stated = re.search(r"(?:space|tpl)-([A-Za-z0-9]+)", file.name)
        if stated and space and stated[1] != space:
            raise StudyError(
                f"atlas: {file.name} lies in space {stated[1]}, but {run.images[0].name} in "
                f"{space}. Use the atlas of that space, or set space."
            )


def parcels_of_volume(atlas: Atlas, run: RunFiles) -> Int64[np.ndarray, "x y z"]:
    """The parcel of each voxel of a run's own grid, within the brain mask where there is one.

    Raises
        StudyError: the atlas lies in another space.
    """
    (file,) = atlas.files
    image = nibabel.load(run.images[0])
    like = nibabel.Nifti1Image(np.zeros(image.shape[:3], np.uint8), image.affine)
    _atlas_volume(file)  # says what is wrong with the file, if anything
    own = resample_to_img(file, like, interpolation="nearest", copy_header=True,
                          force_resample=True)  # fmt: skip
    parcels = np.rint(np.asanyarray(own.dataobj)).astype(np.int64)
    mask_file = run.beside("mask.nii.gz", desc="brain")
    if mask_file.is_file():
        mask = resample_to_img(mask_file, like, interpolation="nearest", copy_header=True,
                               force_resample=True)  # fmt: skip
        inside = np.asanyarray(mask.dataobj) > 0
    else:
        inside = np.ptp(np.asanyarray(image.dataobj), axis=3) > 0
    labelled = parcels > 0
    share = float((labelled & inside).sum() / max(labelled.sum(), 1))
    if share < 0.5:
        raise StudyError(
            f"atlas: {share:.0%} of {file} lies in the brain of {run.images[0].name}, expected "
            "most of it: the atlas is in another space. Use one of the space of the BOLD."
        )
    return np.where(inside, parcels, 0)


def parcels_of_surface(atlas: Atlas, run: RunFiles) -> list[Int64[np.ndarray, " vertex"]]:
    """The parcel of each vertex, left and right; raises StudyError where the meshes differ."""
    sides, offset = [], 0
    for file, image in zip(atlas.files, run.images, strict=True):
        found = np.asarray(load_surf_data(file)).astype(np.int64).ravel()
        n_vertices = len(nibabel.load(image).darrays[0].data)
        if len(found) != n_vertices:
            raise StudyError(
                f"atlas: {file} has {len(found)} vertices, {image.name} {n_vertices}: the atlas is "
                "of another mesh. Use the one of the BOLD's space."
            )
        own = _surface_names(file)
        sides.append(np.where(np.isin(found, list(own)), found + offset, 0))
        offset += max(own)
    return sides


def parcels_of_cifti(atlas: Atlas, run: RunFiles) -> Int64[np.ndarray, " grayordinate"]:
    """The parcel of each grayordinate; 0 for structures that the atlas leaves out.

    Raises
        StudyError: no structure in common, or meshes that differ.
    """
    (file,) = atlas.files
    loaded = nibabel.load(file)
    theirs, values = loaded.header.get_axis(1), np.asanyarray(loaded.dataobj)[0]
    ours = nibabel.load(run.images[0]).header.get_axis(1)
    label_of = {}
    for name, where, model in theirs.iter_structures():
        places = model.vertex if name in theirs.nvertices else map(tuple, model.voxel)
        label_of[name] = dict(zip(places, values[where].astype(int), strict=True))
    parcels, common = np.zeros(len(ours), np.int64), 0
    for name, where, model in ours.iter_structures():
        if name not in label_of:
            continue
        common += 1
        if ours.nvertices.get(name) != theirs.nvertices.get(name):
            raise StudyError(
                f"atlas: {name} has {theirs.nvertices.get(name)} vertices in {file}, but "
                f"{ours.nvertices.get(name)} in {run.images[0].name}: another mesh."
            )
        places = model.vertex if name in ours.nvertices else map(tuple, model.voxel)
        parcels[where] = [label_of[name].get(place, 0) for place in places]
    if not common:
        raise StudyError(f"atlas: {file} and {run.images[0].name} have no structure in common.")
    return np.where(np.isin(parcels, list(atlas.names)), parcels, 0)


def _atlas_volume(file: Path) -> np.ndarray:
    try:
        values = np.asanyarray(nibabel.load(file).dataobj)
    except (OSError, nibabel.filebasedimages.ImageFileError) as error:
        raise StudyError(f"atlas: {file} cannot be read as an image: {error}") from error
    if values.ndim > 3 and values.shape[3:] != (1,):
        raise StudyError(
            f"atlas: {file} has shape {values.shape}: expected one whole number a voxel, a labels "
            "image; for maps, take the strongest at each voxel first."
        )
    return np.rint(values).astype(np.int64)


def _surface_names(file: Path) -> dict[int, str]:
    if file.name.endswith(".annot"):
        names = [name.decode() for name in nibabel.freesurfer.read_annot(file)[2]]
        return _real(dict(enumerate(names)))
    table = nibabel.load(file).labeltable.get_labels_as_dict()
    return _real({int(key): name for key, name in table.items()})


def _real(names: dict[int, str]) -> dict[int, str]:
    """Less what is no parcel."""
    return {key: name for key, name in names.items() if key > 0 and not _BACKGROUND.fullmatch(name)}


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
