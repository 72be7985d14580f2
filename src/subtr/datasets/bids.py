"""Any BIDS study of films or sounds, from fMRIPrep's derivatives: volumes, surfaces or CIFTI.

Source: Gorgolewski et al. 2016, The brain imaging data structure, Scientific Data 3; Esteban et al.
2019, fMRIPrep, Nature Methods 16.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from subtr.datasets.bids_atlas import read_atlas
from subtr.datasets.bids_bold import ConfoundSettings, joined_confounds
from subtr.datasets.bids_events import run_mel, run_pictures
from subtr.datasets.bids_files import (
    Images,
    RunFiles,
    RunKey,
    derivatives_folder,
    find_runs,
    repetition_time_s,
)
from subtr.datasets.bids_runs import JoinedRun, read_run, said, shown_to
from subtr.params import SettingsError, StudyError
from subtr.stimulus.media import probe
from subtr.stimulus.mel import MelSettings
from subtr.stimulus.pictures import PictureSettings
from subtr.study import Study
from subtr.timeline import Clock


def load_bids(
    media: Path | None = None,
    *,
    root: Path | None = None,
    task: str | None = None,
    derivatives: Path | None = None,
    images: Images = "volume",
    space: str | None = None,
    entities: dict[str, str] = {},  # noqa: B006
    subjects: tuple[str, ...] | None = None,
    atlas: Path | tuple[Path, Path] | None = None,
    labels: Path | None = None,
    confounds: ConfoundSettings | None = ConfoundSettings(),  # noqa: B008
    onset_s: float | int | None = None,
    tr_s: Annotated[float | int, Field(ge=0.1, le=20)] | None = None,
    frames_per_tr: Annotated[int, Field(ge=1, le=4096)] = 64,
    mel: MelSettings | None = MelSettings(),  # noqa: B008
    pictures: PictureSettings | None = PictureSettings(),  # noqa: B008
) -> Study:
    """The study "bids-<folder>-<task>": all runs and sessions of a task, one after the other.

    Each run has a clock of its own, laid over its own media file: events say when that began. Of a
    run, the volumes from the first during a stimulus to the last are kept, and the runs are put end
    to end; ``run_of_tr`` tells them apart, so that no response and no gap reaches across. The
    study's own clock only counts TRs.

    Arguments
        media: a film in place of the only one that events name.
        root: folder of the study; task: its name, without "task-".
        derivatives: of fMRIPrep, relative to root; None for derivatives/fmriprep.
        images: "volume" (nii.gz), "surface" (func.gii, both hemispheres) or "cifti" (dtseries.nii).
        space, entities: which of several versions of a run, such as "MNI152NLin2009cAsym" and
            ``{res: "2"}``.
        subjects: names; None for all.
        atlas: a labels image, a .dlabel.nii, or two files of a surface, left and right; None for
            the volume's own ``desc-aparcaseg_dseg`` of the first subject.
        labels: table of the names of a labels image.
        confounds: see `ConfoundSettings`; regressed out by weights of the training TRs.
        onset_s: second after the first volume at which the film began; None to ask the events.
        tr_s: expected repetition time in seconds; an error where the files say otherwise.
        frames_per_tr, mel, pictures: what a model is shown.

    A run that a subject lacks, and volumes that a scan was short of, are masked with a
    ``StudyWarning`` that names them.

    Raises
        SettingsError: root or task is missing.
        StudyError: files are missing, or do not fit together; the message names them.
        MediaError, CacheError: a stimulus cannot be used, or the cache not written.
    """
    if root is None or task is None:
        raise SettingsError(
            "The study 'bids' needs root and task: set them under load in study_bids.yaml."
        )
    root = Path(root).expanduser()
    folder = derivatives_folder(root, derivatives)
    runs = find_runs(folder, task, images, space, entities, subjects)
    found = _common_tr_s(root, runs, tr_s)
    of_atlas = read_atlas(_atlas_files(atlas, images, runs), labels)
    media = None if media is None else Path(media)
    planned = {key: shown_to(root, of, media, onset_s) for key, of in runs.items()}
    named = sorted({subject for of in runs.values() for subject in of})
    parts = [read_run(runs[key], planned[key], images, of_atlas, confounds, found, named)
             for key in runs]  # fmt: skip
    n_trs = [part.n_trs for part in parts]
    sound, seen = _stimuli(parts, found, frames_per_tr, mel, pictures)
    cleaned = {}
    if confounds is not None or len(parts) > 1:
        cleaned = {name: joined_confounds([part.confounds[name] for part in parts])
                   for name in named}  # fmt: skip
    return Study(
        name=f"bids-{root.resolve().name}-{task}",
        clock=Clock(found, sum(n_trs), 0.0, frames_per_tr),
        mel=sound,
        mel_settings=mel or MelSettings(),
        pictures=seen,
        bold={name: np.concatenate([part.bold[name] for part in parts]) for name in named},
        parcels=of_atlas.table,
        confounds={name: of for name, of in cleaned.items() if of is not None},
        run_of_tr=np.repeat(np.arange(len(parts)), n_trs),
        run_stimuli=tuple(part.begins(found) for part in parts),
        sources=tuple(sorted({file for part in parts for file in part.files})),
        notes=(f"Runs: {', '.join(said(key) for key in runs)}.",),
    )


def _stimuli(parts: list[JoinedRun], tr_s, frames_per_tr, mel, pictures):
    """Sound and pictures of all runs, None where no stimulus has any or the settings have not."""
    infos = [probe(one.media) for part in parts for one in part.shown]
    clocks = [(part.shown, part.first, Clock(tr_s, part.n_trs, 0.0, frames_per_tr))
              for part in parts]  # fmt: skip
    sound = seen = None
    if mel is not None and any(info.sound_rate_hz is not None for info in infos):
        sound = np.concatenate([run_mel(*one, mel) for one in clocks])
    if pictures is not None and any(info.width is not None for info in infos):
        seen = np.concatenate([run_pictures(*one, pictures) for one in clocks])
    return sound, seen


def _common_tr_s(root, runs: dict[RunKey, dict[str, RunFiles]], asked) -> float:
    first, tr_s = ("tr_s of the parameters", float(asked)) if asked else (None, None)
    for of in runs.values():
        for run in of.values():
            own_s = repetition_time_s(root, run)
            if tr_s is None:
                first, tr_s = str(run), own_s
            elif abs(own_s - tr_s) > 2e-3:
                raise StudyError(
                    f"{run} has a TR of {own_s:g} s, but {first} is {tr_s:g} s: expected one TR. "
                    "Correct the wrong one, or choose runs of one TR."
                )
    return tr_s


def _atlas_files(atlas, images: Images, runs) -> tuple[Path, ...]:
    if atlas is None:
        run = next(iter(next(iter(runs.values())).values()))
        own = run.beside("dseg.nii.gz", desc="aparcaseg")
        if images != "volume" or not own.is_file():
            wanted = {"volume": "a labels image", "surface": "two .label.gii or .annot files",
                      "cifti": "a .dlabel.nii"}[images]  # fmt: skip
            raise StudyError(
                f"atlas: none given, and {own.name} does not exist. Set atlas to {wanted} in the "
                "space of the BOLD."
            )
        return (own,)
    files = tuple(map(Path, atlas)) if isinstance(atlas, tuple) else (Path(atlas),)
    if (len(files) == 2) != (images == "surface"):
        raise SettingsError(
            f"atlas: {len(files)} file(s) for images: {images}; expected "
            f"{'left and right' if images == 'surface' else 'one'}."
        )
    return tuple(file.expanduser() for file in files)
