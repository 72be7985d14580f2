"""Any BIDS study of films or sounds, from fMRIPrep's derivatives: volumes, surfaces or CIFTI.

Source: Gorgolewski et al. 2016, The brain imaging data structure, Scientific Data 3; Esteban et al.
2019, fMRIPrep, Nature Methods 16.
"""

import math
import warnings
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from subtr.datasets.bids_derivatives import (
    Atlas,
    ConfoundSettings,
    Images,
    RunFiles,
    RunKey,
    derivatives_folder,
    find_runs,
    inherited,
    joined_confounds,
    parcel_bold,
    read_atlas,
    repetition_time_s,
    run_confounds,
)
from subtr.datasets.study import Study
from subtr.params import SettingsError, StudyError, StudyWarning
from subtr.stimulus.media import probe
from subtr.stimulus.mel import MelSettings, log_mel_of_media, log_mel_of_sound
from subtr.stimulus.pictures import PictureSettings, pictures_of_media
from subtr.timeline import Clock


class Shown(NamedTuple):
    """A media file that began ``onset_s`` seconds after the first volume of its run."""

    onset_s: float
    duration_s: float
    media: Path


def shown_in(root: Path, run: RunFiles, film: Path | None, onset_s: float | None) -> list[Shown]:
    """The stimuli of a run in the order of their onsets.

    Arguments
        film: a media file in place of the only one that the events name; or of what events without
            ``stim_file`` begin with.
        onset_s: when the film began; None to ask the events.

    Raises
        StudyError: no events, none with a stimulus, or a stimulus that does not exist.
    """
    if onset_s is not None:
        if film is None:
            raise StudyError(
                f"onset_s = {onset_s:g}: of what? Give a film with it, or leave it to the events."
            )
        return [Shown(float(onset_s), probe(film).duration_s, film)]
    file = inherited(root, run, "events.tsv")
    if file is None:
        raise StudyError(
            f"{run} has no events: expected *_task-{run.entities['task']}*_events.tsv in {root} "
            "with onset, duration and stim_file. Add it, or give a film and set onset_s to the "
            "second after the first volume at which it began."
        )
    events = _read_events(file)
    if "stim_file" not in events:
        if film is None:
            raise StudyError(
                f"{file} has no column stim_file: name the media of each event in it, relative to "
                f"{root / 'stimuli'}; or give the film that its first event begins."
            )
        return [Shown(float(events["onset"].iloc[0]), probe(film).duration_s, film)]
    events = events[events["stim_file"].notna()]
    if events.empty:
        raise StudyError(f"{file}: no event has a stim_file. Name the media that was shown.")
    named = events["stim_file"].astype(str)
    if film is not None and named.nunique() > 1:
        raise StudyError(
            f"a film stands in for one stimulus, but {file} names {named.nunique()} "
            f"({', '.join(named.unique()[:3])}, ...). Leave the film out, and put these into "
            f"{root / 'stimuli'}."
        )
    shown = []
    for event, name in zip(events.itertuples(), named, strict=True):
        media = film or _stimulus(root, file, name)
        length_s = probe(media).duration_s
        duration_s = float(event.duration)
        lasting = math.isfinite(duration_s) and duration_s > 0
        shown.append(
            Shown(float(event.onset), min(duration_s, length_s) if lasting else length_s, media)
        )
    return sorted(shown)


def first_and_last(shown: list[Shown], tr_s: float, n_trs: int) -> tuple[int, int]:
    """The volumes of a run from the first during a stimulus to one past the last."""
    first = max(math.floor(min(one.onset_s for one in shown) / tr_s + 1e-6), 0)
    end_s = max(one.onset_s + one.duration_s for one in shown)
    return first, min(math.ceil(end_s / tr_s - 1e-6), n_trs)


def _read_events(file: Path) -> pd.DataFrame:
    try:
        events = pd.read_csv(file, sep="\t", na_values="n/a")
        events[["onset", "duration"]] = events[["onset", "duration"]].astype(float)
    except (OSError, ValueError, KeyError, pd.errors.ParserError) as error:
        raise StudyError(
            f"{file}: expected a table with tabs, and seconds in onset and duration ({error})."
        ) from error
    if events.empty or events["onset"].isna().any():
        raise StudyError(f"{file}: expected events, each with its onset in seconds.")
    return events.sort_values("onset")


def _stimulus(root: Path, events: Path, name: str) -> Path:
    name = name.removeprefix("bids::").removeprefix("stimuli/")
    media = root / "stimuli" / name
    if not media.is_file():
        raise StudyError(
            f"{events} names {name}, but {media} does not exist. Put it there, or, where one media "
            "file is all that was shown, give it as the film."
        )
    return media


@dataclass(frozen=True)
class JoinedRun:
    """A run as it goes into the study; ``first`` is the volume that it begins with."""

    shown: list[Shown]
    first: int
    n_trs: int
    bold: dict[str, np.ndarray]
    confounds: dict[str, pd.DataFrame]
    files: tuple[Path, ...]

    def begins(self, tr_s: float) -> tuple[Path | None, float]:
        """For `Study.run_stimuli`: a run with several media has no one file to play."""
        one = self.shown[0]
        return one.media if len(self.shown) == 1 else None, self.first * tr_s - one.onset_s


def shown_to(
    root: Path, of: dict[str, RunFiles], film: Path | None, onset_s: float | None
) -> dict[str, list[Shown]]:
    """What each subject was shown in a run; raises StudyError where that was not the same."""
    plan = {subject: shown_in(root, run, film, onset_s) for subject, run in of.items()}
    (first, wanted), *others = plan.items()
    for subject, shown in others:
        same = [one.media for one in shown] == [one.media for one in wanted]
        spread = [one.onset_s - other.onset_s for one, other in zip(shown, wanted, strict=False)]
        if not same or max(spread) - min(spread) > 0.1:
            raise StudyError(
                f"{of[subject]} was shown {[one.media.name for one in shown][:4]} at "
                f"{[one.onset_s for one in shown][:4]} s, but {first} "
                f"{[one.media.name for one in wanted][:4]} at "
                f"{[one.onset_s for one in wanted][:4]} s: expected the same for all. Choose "
                "subjects who were shown the same."
            )
    return plan


def read_run(
    of: dict[str, RunFiles],
    plan: dict[str, list[Shown]],
    images: Images,
    atlas: Atlas,
    settings: ConfoundSettings | None,
    tr_s: float,
    named: list[str],
) -> JoinedRun:
    """The BOLD and confounds of a run, on the volumes of its stimulus.

    Arguments
        of, plan: files of each subject who has the run, and what they were shown.
        named: all subjects of the study; those without the run get NaN and a ``StudyWarning``.

    Raises
        StudyError: a stimulus after the last volume, or onsets that no common volumes fit.
    """
    reference = next(iter(of))
    series = {subject: parcel_bold(run, images, atlas) for subject, run in of.items()}
    first, last = first_and_last(plan[reference], tr_s, 10**9)
    starts = {}
    for subject, shown in plan.items():
        later_s = shown[0].onset_s - plan[reference][0].onset_s
        later = round(later_s / tr_s)
        if abs(later_s - later * tr_s) > 0.1:
            raise StudyError(
                f"{of[subject]}: its stimulus began {later_s:g} s later than that of {reference}, "
                f"which is no whole number of TRs of {tr_s:g} s: one clock cannot hold both."
            )
        starts[subject] = first + later
    n_trs = min(last - first, max(len(series[name]) - starts[name] for name in of))
    if n_trs < 1:
        raise StudyError(f"{of[reference]}: its stimulus begins after the last volume.")
    bold, confounds, files = {}, {}, []
    for name in named:
        bold[name] = np.full((n_trs, len(atlas.names)), np.nan)
        confounds[name] = pd.DataFrame(index=range(n_trs))
        if name not in of:
            run = said(next(iter(of.values())).key)
            warnings.warn(f"{name} lacks {run}: masked.", StudyWarning, stacklevel=4)
            continue
        values, trs = series[name].copy(), starts[name] + np.arange(n_trs)
        if settings is not None:
            table, usable = run_confounds(of[name], settings, len(values))
            values[~usable] = np.nan
            confounds[name] = table.reindex(trs, fill_value=0.0).set_axis(range(n_trs))
        have = (trs >= 0) & (trs < len(values))
        bold[name][have] = values[trs[have]]
        if not have.all():
            warnings.warn(
                f"{of[name]} has {have.sum()} of the {n_trs} volumes that the stimulus lasts: the "
                "others are masked.",
                StudyWarning,
                stacklevel=4,
            )
        files += [*of[name].images, *(one.media for one in plan[name])]
    return JoinedRun(plan[reference], first, n_trs, bold, confounds, tuple(files))


def said(key: RunKey) -> str:
    """Session and run as a reader would say them."""
    parts = [f"{what} {of}" for what, of in zip(("session", "run"), key, strict=True) if of]
    return " ".join(parts) or "the only run"


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
    """Log-mel and pictures of all runs, silence and black where nothing was on.

    None where no stimulus has any or the settings have not.
    """
    infos = [probe(one.media) for part in parts for one in part.shown]
    clocks = [Clock(tr_s, part.n_trs, 0.0, frames_per_tr) for part in parts]
    sound = seen = None
    if mel is not None and any(info.sound_rate_hz is not None for info in infos):
        silence = np.zeros(mel.window_samples, np.float32)
        empty = log_mel_of_sound(silence, mel.rate_hz, Clock(tr_s, 1, 0.0, 1), mel)
        of_media = partial(log_mel_of_media, settings=mel)
        sound = np.concatenate([_laid(empty[0, 0], *one, "sound_rate_hz", of_media)
                                for one in zip(parts, clocks, strict=True)])  # fmt: skip
    if pictures is not None and any(info.width is not None for info in infos):
        black = np.zeros((pictures.height, pictures.width, 3), np.uint8)
        of_media = partial(pictures_of_media, settings=pictures)
        clocks = [clock.with_frames(pictures.frames_per_tr) for clock in clocks]
        seen = np.concatenate([_laid(black, *one, "width", of_media)
                               for one in zip(parts, clocks, strict=True)])  # fmt: skip
    return sound, seen


def _laid(empty: np.ndarray, part: JoinedRun, clock: Clock, track: str, of_media) -> np.ndarray:
    """A run (TR, frame, ...) of what ``of_media`` gives of each stimulus where it was on."""
    out = np.tile(empty, (clock.n_trs, clock.frames_per_tr, *[1] * empty.ndim))
    for one in part.shown:
        begin, end = first_and_last([one], clock.tr_s, part.first + clock.n_trs)
        begin = max(begin, part.first)
        if end <= begin or getattr(probe(one.media), track) is None:
            continue
        own = replace(clock, n_trs=end - begin, onset_s=begin * clock.tr_s - one.onset_s)
        times_s = own.frame_times_s()
        on = (times_s >= 0) & (times_s < one.duration_s)
        out[begin - part.first : end - part.first][on] = np.asarray(of_media(one.media, own))[on]
    return out


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
