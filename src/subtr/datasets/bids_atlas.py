"""Which parcel each voxel, vertex or grayordinate of a run lies in, by an atlas of the user's."""

import re
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from jaxtyping import Int64
from nilearn.image import resample_to_img
from nilearn.surface import load_surf_data

from subtr.datasets.bids_files import RunFiles
from subtr.params import StudyError

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
    found = np.unique(_volume(file))
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
    _volume(file)  # says what is wrong with the file, if anything
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


def _volume(file: Path) -> np.ndarray:
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
