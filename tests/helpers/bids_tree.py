"""A BIDS study of two subjects and two runs, small enough to be written by each test."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import soundfile
from nibabel.cifti2 import BrainModelAxis, LabelAxis, SeriesAxis

RATE_HZ, TR_S = 8000, 1.5
MEL = {"rate_hz": RATE_HZ, "n_mels": 4, "window_samples": 256, "fmax_hz": 4000}
OPTIONS = {"task": "story", "frames_per_tr": 4, "mel": MEL}
# Run -> volumes, seconds after the first of them at which the story begins, and its length.
RUNS = {"1": (160, 6.75, 210.0), "2": (150, 0.0, 216.0)}
SPACE = "MNI152NLin2009cAsym"
N_VERTICES = 20
_AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
_CORTEX = {"L": "CIFTI_STRUCTURE_CORTEX_LEFT", "R": "CIFTI_STRUCTURE_CORTEX_RIGHT"}


def first_volume(run):
    """The first volume during the story of a run."""
    return int(RUNS[run][1] // TR_S)


def parcels_of_grid():
    """Which of three parcels a voxel of the grid lies in."""
    parcels = np.zeros((6, 6, 6), np.int16)
    parcels[1:3, 1:5, 1:5], parcels[3, 1:5, 1:5], parcels[4, 1:5, 1:5] = 3, 5, 7
    return parcels


def parcels_of_vertices():
    return np.repeat([0, 1, 2, 0], [2, 8, 8, 2]).astype(np.int32)


def signal(subject, run, n_parcels, seed=0):
    """Planted BOLD (TR, parcel): the same in all subjects, and the subject's own."""
    rng = np.random.default_rng([seed, int(run), 7])
    shared = rng.normal(size=(RUNS[run][0], n_parcels))
    own = np.random.default_rng([seed, int(run), int(subject)]).normal(size=shared.shape)
    return shared + 0.3 * own


def motion(subject, run):
    rng = np.random.default_rng([int(subject), int(run), 3])
    return rng.normal(size=(RUNS[run][0], 6)) * 0.5


def write_tree(root, images="volume", subjects=("01", "02"), session=None, moved=0.0):
    """The study, and the files of its atlas.

    Arguments
        moved: by how much head motion adds to the BOLD.
    """
    (root / "stimuli").mkdir(parents=True)
    for run, (_, _, length_s) in RUNS.items():
        rng = np.random.default_rng(int(run))
        level = np.repeat(rng.uniform(0, 0.5, round(length_s * 4)), RATE_HZ // 4)
        noise = rng.normal(size=len(level)).clip(-2, 2) * level
        soundfile.write(root / "stimuli" / f"story{run}.wav", noise * 0.5, RATE_HZ)
    (root / "task-story_bold.json").write_text(json.dumps({"RepetitionTime": TR_S}))
    ses = [f"ses-{session}"] if session else []
    for subject in subjects:
        raw = root.joinpath(f"sub-{subject}", *ses, "func")
        done = root.joinpath("derivatives", "fmriprep", f"sub-{subject}", *ses, "func")
        raw.mkdir(parents=True)
        done.mkdir(parents=True)
        for run, (n_trs, onset_s, length_s) in RUNS.items():
            stem = "_".join([f"sub-{subject}", *ses, "task-story", f"run-{run}"])
            shown = [(0.0, 1.0, "n/a"), (onset_s, length_s, f"story{run}.wav")]
            events = pd.DataFrame(shown, columns=["onset", "duration", "stim_file"])
            events.to_csv(raw / f"{stem}_events.tsv", sep="\t", index=False)
            moving = motion(subject, run)
            _confounds(done / f"{stem}_desc-confounds_timeseries", moving)
            n_parcels = 3 if images == "volume" else 4
            bold = signal(subject, run, n_parcels) + moved * moving[:, :1]
            _IMAGES[images](done, stem, 100 + bold, np.random.default_rng(n_trs))
    return root, _ATLAS[images](root)


def _confounds(stem, moving):
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    table = pd.DataFrame(moving, columns=names)
    rng = np.random.default_rng(len(moving))
    table["csf"], table["white_matter"] = rng.normal(size=(2, len(moving)))
    table["framewise_displacement"] = np.r_[np.nan, np.abs(np.diff(moving[:, 0]))]
    table["std_dvars"] = np.r_[np.nan, np.ones(len(moving) - 1)]
    table.to_csv(f"{stem}.tsv", sep="\t", index=False, na_rep="n/a")
    with open(f"{stem}.json", "w") as file:
        json.dump({}, file)


def _volumes(folder, stem, bold, rng):
    parcels = parcels_of_grid()
    grid = np.zeros((*parcels.shape, len(bold)), np.float32)
    for column, number in enumerate((3, 5, 7)):
        grid[parcels == number] = bold[:, column]
    grid[parcels > 0] += 0.1 * rng.normal(size=((parcels > 0).sum(), len(bold)))
    # A dead voxel within a parcel, as at the edge of the brain, must not count.
    grid[1, 1, 1] = 0
    image = nib.Nifti1Image(grid, _AFFINE)
    image.header.set_zooms((4, 4, 4, TR_S))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, folder / f"{stem}_space-{SPACE}_desc-preproc_bold.nii.gz")
    mask = nib.Nifti1Image((parcels > 0).astype(np.uint8), _AFFINE)
    nib.save(mask, folder / f"{stem}_space-{SPACE}_desc-brain_mask.nii.gz")


def _by_vertex(bold, side, rng):
    """(TR, vertex) of a hemisphere: its two parcels, and the medial wall, which is 0."""
    numbers = parcels_of_vertices()
    values = np.zeros((len(bold), N_VERTICES), np.float32)
    for number in (1, 2):
        column = number - 1 + 2 * (side == "R")
        where = numbers == number
        values[:, where] = bold[:, [column]] + 0.1 * rng.normal(size=(len(bold), where.sum()))
    return values


def _surfaces(folder, stem, bold, rng):
    for side in "LR":
        arrays = [nib.gifti.GiftiDataArray(one) for one in _by_vertex(bold, side, rng)]
        image = nib.gifti.GiftiImage(darrays=arrays)
        nib.save(image, folder / f"{stem}_hemi-{side}_space-fsaverage5_bold.func.gii")


def _models(whole=True):
    """Both cortices without their medial wall, and two voxels of the left amygdala."""
    kept = np.flatnonzero(parcels_of_vertices())
    models = [BrainModelAxis.from_surface(kept, N_VERTICES, name) for name in _CORTEX.values()]
    if whole:
        voxels = np.zeros((6, 6, 6), bool)
        voxels[2, 2, 2:4] = True
        name = "CIFTI_STRUCTURE_AMYGDALA_LEFT"
        models.append(BrainModelAxis.from_mask(voxels, name=name, affine=_AFFINE))
    axis = models[0]
    for model in models[1:]:
        axis = axis + model
    return axis


def _ciftis(folder, stem, bold, rng):
    kept = np.flatnonzero(parcels_of_vertices())
    parts = [_by_vertex(bold, side, rng)[:, kept] for side in "LR"]
    values = np.concatenate([*parts, rng.normal(size=(len(bold), 2))], axis=1)
    axes = SeriesAxis(0, TR_S, len(bold)), _models()
    image = nib.Cifti2Image(values.astype(np.float32), axes)
    nib.save(image, folder / f"{stem}_space-fsLR_den-91k_bold.dtseries.nii")


def _volume_atlas(root):
    file = root / f"tpl-{SPACE}_atlas-three_dseg.nii.gz"
    nib.save(nib.Nifti1Image(parcels_of_grid(), _AFFINE), file)
    table = pd.DataFrame({"index": [3, 5, 7], "name": ["A1", "V1", "M1"],
                          "network": ["hearing", "seeing", "moving"]})  # fmt: skip
    table.to_csv(root / f"tpl-{SPACE}_atlas-three_dseg.tsv", sep="\t", index=False)
    return file


def _surface_atlas(root):
    files = []
    for side in "LR":
        array = nib.gifti.GiftiDataArray(parcels_of_vertices(), intent="NIFTI_INTENT_LABEL")
        table = nib.gifti.GiftiLabelTable()
        for key, name in enumerate(("???", "A1", "V1")):
            label = nib.gifti.GiftiLabel(key)
            label.label = name
            table.labels.append(label)
        files.append(root / f"hemi-{side}.label.gii")
        nib.save(nib.gifti.GiftiImage(darrays=[array], labeltable=table), files[-1])
    return tuple(files)


def _cifti_atlas(root):
    numbers = parcels_of_vertices()
    kept = numbers[numbers > 0]
    names = {0: "???", 1: "L A1", 2: "L V1", 3: "R A1", 4: "R V1"}
    labels = LabelAxis(["atlas"], [{key: (name, (0, 0, 0, 1)) for key, name in names.items()}])
    values = np.concatenate([kept, kept + 2])[None].astype(np.float32)
    nib.save(nib.Cifti2Image(values, (labels, _models(whole=False))), root / "four.dlabel.nii")
    return root / "four.dlabel.nii"


_IMAGES = {"volume": _volumes, "surface": _surfaces, "cifti": _ciftis}
_ATLAS = {"volume": _volume_atlas, "surface": _surface_atlas, "cifti": _cifti_atlas}
