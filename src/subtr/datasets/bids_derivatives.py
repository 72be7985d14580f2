"""fMRIPrep's derivatives of a BIDS study: files and TR of a run, atlases, parcels and confounds."""

import json
import math
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
from nilearn.interfaces.bids import parse_bids_filename
from nilearn.interfaces.fmriprep import load_confounds
from nilearn.surface import load_surf_data
from pydantic import BaseModel, ConfigDict, Field

from subtr.params import StudyError
from subtr.stimulus.cache import cached_array, file_digest

Images = Literal["volume", "surface", "cifti"]
RunKey = tuple[str, str]
_EXTENSIONS = {"volume": ("nii.gz", "nii"), "surface": ("func.gii",), "cifti": ("dtseries.nii",)}

# What tells one run's image from another's; all else is how it was processed.
_OF_RUN = ("sub", "ses", "task", "acq", "ce", "dir", "run", "echo")


@dataclass(frozen=True)
class RunFiles:
    """One run of one subject.

    Arguments
        subject: with its prefix, such as "sub-01".
        key: session and run, "" where the names have none.
        images: the BOLD, one file; of a surface, left and right.
        entities: of the file names, less hemi.
    """

    subject: str
    key: RunKey
    images: tuple[Path, ...]
    entities: Mapping[str, str]

    def __str__(self) -> str:
        named = (f"{name}-{of}" for name, of in zip(("ses", "run"), self.key, strict=True) if of)
        return " ".join([self.subject, *named])

    def beside(self, suffix: str, space: bool = True, **entities: str) -> Path:
        """A file of the same run and folder, with other entities and another end."""
        kept = {name: of for name, of in self.entities.items() if name in _OF_RUN}
        kept |= {name: self.entities[name] for name in ("space", "res", "den") if space and name in
                 self.entities}  # fmt: skip
        parts = [f"{name}-{of}" for name, of in (kept | entities).items()]
        return self.images[0].parent / "_".join([*parts, suffix])


def derivatives_folder(root: Path, derivatives: Path | None) -> Path:
    """The folder of the derivatives; raises StudyError where there is none."""
    root = Path(root).expanduser()
    if not root.is_dir():
        raise StudyError(f"root = {str(root)!r}: no such folder; expected a BIDS study.")
    found = root / "derivatives" / "fmriprep" if derivatives is None else root / derivatives
    if not found.is_dir():
        raise StudyError(
            f"{found} does not exist: expected fMRIPrep's derivatives of {root.name}. Run "
            "fMRIPrep, or set derivatives to the folder that holds them."
        )
    return found


def find_runs(
    folder: Path,
    task: str,
    images: Images,
    space: str | None,
    entities: Mapping[str, str],
    subjects: tuple[str, ...] | None,
) -> dict[RunKey, dict[str, RunFiles]]:
    """(session, run) -> subject -> files, sorted by name.

    Arguments
        folder: of derivatives.
        task, space, entities: what names must say; None for any space.
        subjects: with or without "sub-"; None for all.

    Raises
        StudyError: nothing fits, two files fit one run, or a subject asked for has none.
    """
    wanted = {"task": task, **({"space": space} if space else {}), **entities}
    seen, found = set(), {}
    for file in sorted(folder.glob(f"sub-*/**/*_bold.{'*' if images != 'volume' else 'nii*'}")):
        named = parse_bids_filename(file)
        if named["extension"] not in _EXTENSIONS[images]:
            continue
        of = named["entities"]
        seen.add(" ".join(f"{name}-{of.get(name)}" for name in ("task", "space", "res", "den")
                          if of.get(name)))  # fmt: skip
        if any(of.get(name) != value for name, value in wanted.items()):
            continue
        if of.get("desc", "preproc") != wanted.get("desc", "preproc"):
            continue
        run = (f"sub-{of['sub']}", (of.get("ses") or "", of.get("run") or ""), of.pop("hemi", ""))
        if run in found:
            raise StudyError(
                f"{found[run][0].name} and {file.name} are both of one run: say which by space, or "
                "by entities such as {res: 2}."
            )
        found[run] = (file, of)
    names = sorted({run[0] for run in found})
    if not found:
        raise StudyError(
            f"{folder} has no {images} BOLD with {_said(wanted)}. It has: "
            f"{'; '.join(sorted(seen)) or 'none'}."
        )
    asked = [one if one.startswith("sub-") else f"sub-{one}" for one in subjects or names]
    if lacking := [name for name in asked if name not in names]:
        raise StudyError(
            f"subjects: {', '.join(lacking)} has no {images} BOLD with {_said(wanted)} in "
            f"{folder}; there are {', '.join(names)}."
        )
    return _by_run(found, asked, images)


def _by_run(found, asked: list[str], images: Images) -> dict[RunKey, dict[str, RunFiles]]:
    runs: dict[RunKey, dict[str, RunFiles]] = {}
    for key in sorted({run[1] for run in found if run[0] in asked}):
        for subject in asked:
            sides = ("L", "R") if images == "surface" else ("",)
            files = [found.get((subject, key, side)) for side in sides]
            if any(files) and not all(files):
                (only,) = [file.name for file, _ in filter(None, files)]
                raise StudyError(f"{only} has no other hemisphere: expected hemi-L and hemi-R.")
            if all(files):
                one = RunFiles(subject, key, tuple(file for file, _ in files), files[0][1])
                runs.setdefault(key, {})[subject] = one
    return runs


def inherited(root: Path, run: RunFiles, end: str) -> Path | None:
    """The raw file ``*_<end>`` that holds for a run: the nearest one to it, the most exact first.

    By BIDS's inheritance principle, names may leave out what they hold for all of.
    """
    session = [f"ses-{run.key[0]}"] if run.key[0] else []
    places = [root.joinpath(run.subject, *session, "func"), root.joinpath(run.subject, *session)]
    for folder in [*places, root / run.subject, root]:
        fitting = []
        for file in folder.glob(f"*task-{run.entities['task']}*_{end}"):
            of = parse_bids_filename(file)["entities"]
            if all(run.entities.get(name) == value for name, value in of.items()):
                fitting.append((len(of), file))
        if fitting:
            return max(fitting)[1]
    return None


def repetition_time_s(root: Path, run: RunFiles) -> float:
    """The TR of a run, from its sidecars and its header, which must agree.

    Raises
        StudyError: none says it, or two say different things; the message names both.
    """
    sources: dict[str, float] = {}
    image = run.images[0]
    own = image.with_name(image.name.split(".")[0] + ".json")
    for file in (own, inherited(root, run, "bold.json")):
        if file is not None and file.is_file():
            try:
                value = json.loads(file.read_text(encoding="utf-8")).get("RepetitionTime")
            except (ValueError, AttributeError) as error:
                raise StudyError(f"{file} is no JSON object: {error}") from error
            if value is not None:
                sources[str(file)] = float(value)
    header_s = _header_tr_s(image)
    if header_s:
        sources[f"the header of {image}"] = header_s
    if not sources:
        raise StudyError(
            f"{run}: nothing says its TR. Expected RepetitionTime (seconds) in {own}, or in a "
            f"*_bold.json of {root}."
        )
    (first, tr_s), *others = sources.items()
    for other, value in others:
        if not math.isclose(tr_s, value, abs_tol=2e-3):
            raise StudyError(
                f"{run}: the TR is {tr_s:g} s by {first}, but {value:g} s by {other}. Correct the "
                "one that is wrong."
            )
    return tr_s


def _header_tr_s(image: Path) -> float | None:
    if image.name.endswith(".gii"):
        return None
    header = nibabel.load(image).header
    if image.name.endswith(".dtseries.nii"):
        return float(header.get_axis(0).step)
    scale = {"msec": 1e-3, "usec": 1e-6}.get(header.get_xyzt_units()[1], 1.0)
    zooms = header.get_zooms()
    return float(zooms[3]) * scale if len(zooms) > 3 and zooms[3] > 0 else None


def _said(wanted: Mapping[str, str]) -> str:
    return ", ".join(f"{name}-{value}" for name, value in wanted.items())


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


def _check_space(atlas: Atlas, run: RunFiles) -> None:
    """Raises StudyError where the names of an atlas and of a run's BOLD state different spaces."""
    space = run.entities.get("space")
    for file in atlas.files:
        stated = re.search(r"(?:space|tpl)-([A-Za-z0-9]+)", file.name)
        if stated and space and stated[1] != space:
            raise StudyError(
                f"atlas: {file.name} lies in space {stated[1]}, but {run.images[0].name} in "
                f"{space}. Use the atlas of that space, or set space."
            )


def _volume(atlas: Atlas, run: RunFiles):
    """BOLD and parcel of the voxels of a run's own grid, in the brain mask where there is one."""
    (file,) = atlas.files
    image = nibabel.load(run.images[0])
    if image.ndim != 4:
        raise StudyError(f"{run.images[0]} has shape {image.shape}: expected volumes over time.")
    like = nibabel.Nifti1Image(np.zeros(image.shape[:3], np.uint8), image.affine)
    _atlas_volume(file)  # says what is wrong with the file, if anything
    parcels = np.rint(_on_grid(file, like)).astype(np.int64)
    mask = run.beside("mask.nii.gz", desc="brain")
    series = np.asanyarray(image.dataobj)
    inside = _on_grid(mask, like) > 0 if mask.is_file() else np.ptp(series, axis=3) > 0
    labelled = parcels > 0
    share = float((labelled & inside).sum() / max(labelled.sum(), 1))
    if share < 0.5:
        raise StudyError(
            f"atlas: {share:.0%} of {file} lies in the brain of {run.images[0].name}, expected "
            "most of it: the atlas is in another space. Use one of the space of the BOLD."
        )
    kept = labelled & inside
    return series[kept].astype(np.float32).T, parcels[kept]


def _on_grid(file: Path, like: nibabel.Nifti1Image) -> np.ndarray:
    options = {"interpolation": "nearest", "copy_header": True, "force_resample": True}
    return np.asanyarray(resample_to_img(file, like, **options).dataobj)


def _surface(atlas: Atlas, run: RunFiles):
    """BOLD and parcel of each vertex, left before right."""
    values, parcels, offset = [], [], 0
    for file, image in zip(atlas.files, run.images, strict=True):
        found = np.asarray(load_surf_data(file)).astype(np.int64).ravel()
        arrays = nibabel.load(image).darrays
        values.append(np.stack([np.asarray(array.data, np.float32) for array in arrays]))
        if len(found) != values[-1].shape[1]:
            raise StudyError(
                f"atlas: {file} has {len(found)} vertices, {image.name} {values[-1].shape[1]}: the "
                "atlas is of another mesh. Use the one of the BOLD's space."
            )
        own = _surface_names(file)
        parcels.append(np.where(np.isin(found, list(own)), found + offset, 0))
        offset += max(own)
    if len({len(of) for of in values}) != 1:
        raise StudyError(f"{run}: {len(values[0])} volumes left, {len(values[1])} right.")
    return np.concatenate(values, axis=1), np.concatenate(parcels)


def _cifti(atlas: Atlas, run: RunFiles):
    """BOLD and parcel of each grayordinate; 0 for structures that the atlas leaves out."""
    (file,) = atlas.files
    loaded, image = nibabel.load(file), nibabel.load(run.images[0])
    theirs, labels = loaded.header.get_axis(1), np.asanyarray(loaded.dataobj)[0]
    ours = image.header.get_axis(1)
    label_of = {}
    for name, where, model in theirs.iter_structures():
        label_of[name] = dict(zip(_places(model, name), labels[where].astype(int), strict=True))
    parcels = np.zeros(len(ours), np.int64)
    if not label_of.keys() & set(ours.name):
        raise StudyError(f"atlas: {file} and {run.images[0].name} have no structure in common.")
    for name, where, model in ours.iter_structures():
        if name not in label_of:
            continue
        if ours.nvertices.get(name) != theirs.nvertices.get(name):
            raise StudyError(
                f"atlas: {name} has {theirs.nvertices.get(name)} vertices in {file}, but "
                f"{ours.nvertices.get(name)} in {run.images[0].name}: another mesh."
            )
        parcels[where] = [label_of[name].get(place, 0) for place in _places(model, name)]
    parcels = np.where(np.isin(parcels, list(atlas.names)), parcels, 0)
    return np.asanyarray(image.dataobj).astype(np.float32), parcels


def _places(model: nibabel.cifti2.BrainModelAxis, name: str):
    return model.vertex if name in model.nvertices else map(tuple, model.voxel)


_READ: Mapping = {"volume": _volume, "surface": _surface, "cifti": _cifti}


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
        StudyError: the atlas is of another space or mesh; or the image cannot be read.
        CacheError: the cache cannot be written.
    """
    _check_space(atlas, run)
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
            values, parcels = _READ[images](atlas, run)
        except (OSError, nibabel.filebasedimages.ImageFileError, EOFError) as error:
            raise StudyError(f"{run.images[0]} cannot be read: {error}. Copy it again.") from error
        yield _parcel_means(values, parcels, np.array(numbers))

    return np.asarray(cached_array("parcels", run.images[0], known, compute))


def _parcel_means(
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
    files = [str(file) for file in run.images]
    # nilearn takes a list of pairs of hemispheres, of one pair too, or one file.
    given = [files] if len(files) == 2 else files[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found, kept = load_confounds(given, **settings.model_dump())
    except Exception as error:
        raise StudyError(
            f"{run}: its confounds cannot be had ({error}). Expected fMRIPrep's "
            f"{run.beside('timeseries.tsv', space=False, desc='confounds').name} beside the BOLD, "
            f"with what strategy {list(settings.strategy)} asks for; or set confounds: null."
        ) from error
    found, kept = (one[0] if isinstance(one, list) else one for one in (found, kept))
    usable = np.full(n_trs, kept is None)
    if kept is not None:
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
