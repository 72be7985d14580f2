"""Every system of a parameter set, trained one after the other or side by side."""

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import NamedTuple

import pandas as pd

from subtr.comparison import LOSSES, QUALITY, measure_costs, trainings
from subtr.experiment import Experiment
from subtr.params import SettingsError
from subtr.stimulus.speech import SpeechModelError

# Scores nearer than this count as alike; one seed cannot tell them apart.
_ALIKE = 0.02
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Systems whose names begin alike differ in one part alone.
_FAMILIES = ("position_", "aggregator_", "video_", "response_")


class GallerySystem(NamedTuple):
    """A system that was trained and measured, or why it was not; seconds on the clock, of the CPU.

    ``losses``: the first and the best validation loss of each part.
    """

    name: str
    spent_s: float
    cpu_s: float
    losses: dict[str, tuple[float, float]]
    problem: str = ""

    def __str__(self):
        if self.problem:
            return f"{self.name}: left out. {self.problem}"
        of = {"sound": "audio", "pictures": "video", "bold": "BOLD"}
        said = [
            f"{of[part]} {first:.3g} -> {best:.3g}" for part, (first, best) in self.losses.items()
        ]
        return f"{self.name}: {self.spent_s:.0f} s, validation loss of {', '.join(said)}"


def systems_of(experiment: Experiment) -> list[list[str]]:
    """The systems of the parameter set in waves: each comes after the teachers that it follows.

    Raises
        SettingsError: teachers go in a circle; or a wrong option of a system.
    """
    files = sorted(experiment.params_folder.glob("system_*.yaml"))
    names = [file.stem.removeprefix("system_") for file in files]
    left = {name: _teachers(experiment, name) & set(names) for name in names}
    waves: list[list[str]] = []
    while left:
        ready = [name for name, teachers in left.items() if not teachers & set(left)]
        if not ready:
            raise SettingsError(f"teachers of {', '.join(left)} go in a circle.")
        waves.append(ready)
        left = {name: of for name, of in left.items() if name not in ready}
    return waves


def train_systems(
    experiment: Experiment, seed: int = 0, workers: int = 1
) -> Iterator[GallerySystem]:
    """Trains, scores and measures every system, and gives each as it is finished.

    What is trained already is read. A system that needs weights which are not installed is left
    out, and says so.

    Arguments
        workers: processes side by side, each with a share of the cores; 1 for this one alone.
    """
    where = (
        experiment.identity.get("study", experiment.study.name),
        str(experiment.params_folder),
        experiment.identity.get("film", ""),
        str(experiment.folder.parents[1]),
    )
    if workers <= 1:
        for wave in systems_of(experiment):
            yield from (_trained(experiment, name, seed) for name in wave)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    # A forked process would inherit the state of torch's threads, and could wait for ever.
    fresh = multiprocessing.get_context("spawn")
    # Read as NumPy and torch are imported, so it must be set before the processes start.
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    try:
        yield from _side_by_side(experiment, seed, workers, fresh, where)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _side_by_side(experiment, seed, workers, fresh, where) -> Iterator[GallerySystem]:
    with ProcessPoolExecutor(workers, fresh, _open, where) as pool:
        for wave in systems_of(experiment):
            started = [pool.submit(_trained_here, name, seed) for name in wave]
            for one in as_completed(started):
                yield one.result()


def fallen_curves(experiment: Experiment, names: list[str], seed: int = 0) -> pd.DataFrame:
    """Validation losses of systems by epoch, each relative to its first; a line a part and fold.

    Columns system, part, epoch, share.
    """
    found = []
    for name in names:
        for modality, _, training in trainings(experiment, name, seed):
            history = experiment.store.history(training)
            losses = history[(history["part"] == "validation") & (history["name"] == "loss")]
            folds = losses["fold"] if "fold" in losses else pd.Series(0, losses.index)
            for fold, line in losses.sort_values("epoch").groupby(folds):
                first = line["value"].iloc[0]
                share = 1 + (line["value"] - first) / max(abs(first), 1e-12)
                part = f"{modality}, fold {fold}"
                found.append(line[["epoch"]].assign(system=name, part=part, share=share))
    return pd.concat(found, ignore_index=True)


def findings(trained: Sequence[GallerySystem], table: pd.DataFrame) -> list[str]:
    """What came out, in sentences that follow from the numbers.

    Arguments
        table: of `comparison_table`.
    """
    done = [one for one in trained if not one.problem]
    still = [one.name for one in done if any(best >= at for at, best in one.losses.values())]
    said = [f"The loss of {len(done) - len(still)} of {len(done)} systems fell."]
    if still:
        said.append(f"It did not fall for {', '.join(still)}.")
    said += [str(one) for one in trained if one.problem]
    for _, column in QUALITY.values():
        if column in table and table[column].notna().any():
            said += _of_score(table, column)
    slow = table["training, s"].idxmax()
    said.append(
        f"{slow} takes longest to train, {table.at[slow, 'training, s']:.0f} s; the median system "
        f"takes {table['training, s'].median():.0f} s."
    )
    return said


def _of_score(table: pd.DataFrame, column: str) -> list[str]:
    """Sentences on one score: the best, the cheapest about as good, and averaging."""
    known = table[table[column].notna()]
    best = known[column].idxmax()
    said = [f"**{column}**: {best} is best with {known.at[best, column]:.2f}."]
    if "averaging" in known.index:
        floor = known.at["averaging", column]
        more = int((known[column] > floor + _ALIKE).sum())
        others = len(known) - 1
        said[0] = (
            said[0][:-1] + f", averaging has {floor:z.2f}; {more} of {others} others have more."
        )
    alike = known[known[column] > known.at[best, column] - _ALIKE]
    least = alike["MMAC a TR"].idxmin()
    if least != best:
        said.append(
            f"Within {_ALIKE:g} of the best are {len(alike)} systems; {least} needs the fewest "
            f"multiplications, {alike.at[least, 'MMAC a TR']:.2g} million a TR, where {best} needs "
            f"{alike.at[best, 'MMAC a TR']:.2g}."
        )
    for family in _FAMILIES:
        names = [name for name in known.index if name.startswith(family)]
        if len(names) > 1:
            of = known.loc[names, column].sort_values()
            said.append(
                f"Of {family}*, {of.index[-1]} has most ({of.iloc[-1]:z.2f}), {of.index[0]} least "
                f"({of.iloc[0]:z.2f})."
            )
    return said


def _teachers(experiment: Experiment, name: str) -> set[str]:
    system = experiment.system(name)
    parts = (system.sound, system.pictures, system.bold)
    return {part.teacher.teacher for part in parts if part is not None and part.teacher}


def _trained(experiment: Experiment, name: str, seed: int) -> GallerySystem:
    began_s, cpu_s = time.monotonic(), time.process_time()
    try:
        experiment.train(name, seed)
    except SpeechModelError as error:
        return GallerySystem(name, 0.0, 0.0, {}, str(error))
    costs = measure_costs(experiment, name, seed)
    losses = {
        str(part): tuple(float(rows.loc[rows["metric"] == of, "value"].sum()) for of in LOSSES)
        for part, rows in costs.groupby("modality", sort=False)
    }
    return GallerySystem(name, time.monotonic() - began_s, time.process_time() - cpu_s, losses)


_OPENED: list[Experiment] = []


def _open(study: str, params: str, film: str, runs: str) -> None:
    # What the processes would say at once is told by the lines of `GallerySystem`.
    os.environ["SUBTR_PROGRESS"] = "lines"
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    _OPENED.append(Experiment.open(study, params, film, runs))


def _trained_here(name: str, seed: int) -> GallerySystem:
    return _trained(_OPENED[0], name, seed)
