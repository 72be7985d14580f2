"""Files of a BIDS study and of its fMRIPrep derivatives: which are a run's, and its TR."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nibabel
from nilearn.interfaces.bids import parse_bids_filename

from subtr.params import StudyError

Images = Literal["volume", "surface", "cifti"]

RunKey = tuple[str, str]

EXTENSIONS = {"volume": ("nii.gz", "nii"), "surface": ("func.gii",), "cifti": ("dtseries.nii",)}

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
        if named["extension"] not in EXTENSIONS[images]:
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
