""""""

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from subtr.datasets.study import Study
from subtr.decoders import DECODERS, PICTURE_DECODERS
from subtr.experiments.cost import (
    BYTES_A_PARAMETER,
    count_parameters,
    forward_flops,
    kept_for_backward,
    median_ms,
)
from subtr.experiments.experiment import Experiment, with_features_of
from subtr.experiments.results import read_table, write_results
from subtr.models.autoencoder import TemporalAutoencoder
from subtr.models.batches import Stimulus, parts_of, stimulus_of
from subtr.models.stream import Stream
from subtr.params import SettingsError
from subtr.stimulus.speech import SpeechModelError
from subtr.training.encoding_models import bold_predictor, bold_stimulus
from subtr.training.quantised import QuantisedAutoencoder, coded
from subtr.training.systems import AutoencoderParams, BoldParams

# The report's comparison table, measured: what systems cost beside what they keep.
#
# Section 9 of the report gives each approach stars; here every cell is a measurement of a run.

COSTS = ("parameters", "MMAC a TR", "training memory_MB", "inference_ms a TR")

LOSSES = ("validation loss, first", "validation loss, best")

# Of each part, the score that the report's stars stand for.
QUALITY = {
    "sound": ("within-TR R²", "audio: within-TR R²"),
    "pictures": ("motion coherence", "video: motion coherence"),
    "bold": ("r / ceiling", "BOLD: r / ceiling"),
}


def measure_costs(
    experiment: Experiment, name: str, seed: int = 0, repeats: int = 3
) -> pd.DataFrame:
    """What each part of a trained system costs, and how far its loss fell.

    ``COSTS`` are of a fresh network of the same sizes: numbers that are learned; multiplications
    with additions of a TR at inference, encoder to output; MB that a training step keeps, batch,
    gradients and AdamW included; milliseconds a TR of a batch at inference, on the CPU. ``LOSSES``
    come from the histories, averaged over folds. Kept as a table of the run, ``cost_<name>``.

    Raises
        ResultsError: the system has not been trained with this seed.
    """
    study, rows = experiment.study, []
    for modality, n_floats, training in trainings(experiment, name, seed):
        params = getattr(experiment.system(name), modality)
        with torch.random.fork_rng(devices=[]):
            if modality == "bold":
                network, given = predictor_to_measure(experiment, params)
                values = _costs(network, given, repeats)
            else:
                network, given = autoencoder_to_measure(study, modality, params, n_floats)
                values = _costs(network, given, repeats, study.clock.tr_s)
        values += first_and_best(experiment.store.history(training))
        labels = {"study": study.name, "system": name, "seed": seed, "modality": modality}
        labels["floats_per_tr"] = float(n_floats)
        metrics = zip((*COSTS, *LOSSES), values, strict=True)
        rows += [labels | {"metric": metric, "value": value} for metric, value in metrics]
    file = experiment.folder / "tables" / f"cost_{name}_seed{seed}.csv"
    return read_table(write_results(file, rows))


def trainings(experiment: Experiment, name: str, seed: int) -> list[tuple[str, int, str]]:
    """Part, floats a TR and the name of the history, of each training of a system on the study."""
    system, study, found = experiment.system(name), experiment.study, []
    for modality, values in (("sound", study.mel), ("pictures", study.pictures)):
        params = getattr(system, modality)
        if params is not None and values is not None:
            for n_floats in params.floats_per_tr:
                found.append((modality, n_floats, f"{name}_{n_floats}_seed{seed}_{modality}"))
    if system.bold is not None and study.bold:
        n_floats = system.bold.readout.vector_dim * system.bold.readout.members
        found.append(("bold", n_floats, f"{name}_seed{seed}_bold"))
    return found


def autoencoder_to_measure(
    study: Study, modality: str, params: AutoencoderParams, n_floats: int
) -> tuple[nn.Module, torch.Tensor]:
    """A fresh autoencoder of a study's sound or pictures, and a batch as it is trained by."""
    values = study.mel if modality == "sound" else study.pictures
    n_frames = values.shape[1]
    in_dim = values.shape[2] if modality == "sound" else tuple(values.shape[2:4])
    feature = (in_dim,) if modality == "sound" else (3, *in_dim)
    given = torch.rand(params.batch_size, params.item_trs, n_frames, *feature)
    if getattr(params, "codes", None) is not None:
        return _Uncoded(QuantisedAutoencoder(in_dim, n_frames, coded(params, n_floats))), given
    stream = Stream(in_dim, n_frames, n_floats, params.stream)
    registry = DECODERS if modality == "sound" else PICTURE_DECODERS
    sizes = feature if modality == "sound" else in_dim
    decoder = params.decoder.build(registry, n_floats, n_frames, *sizes)
    return TemporalAutoencoder(stream, decoder), given


def predictor_to_measure(experiment: Experiment, params: BoldParams) -> tuple[nn.Module, Stimulus]:
    """A fresh predictor of BOLD, and an item of the study as it is trained by."""
    experiment = with_features_of(experiment, params)
    study = experiment.study
    if params.deconvolve is not None:
        # What is learned then is activity, which lies beside its stimulus.
        study = replace(study, hrf_applied=True)
    shown = bold_stimulus(study, experiment.splits[0], params)
    predictor = bold_predictor(study, params)
    parts = {name: of[None, : params.item_trs] for name, of in parts_of(shown).items()}
    return predictor, stimulus_of(parts)


class _Uncoded(nn.Module):
    """A quantised autoencoder whose codes, which need data, are left out: look-ups cost nothing."""

    def __init__(self, model: QuantisedAutoencoder):
        super().__init__()
        self.model = model

    def forward(self, frames: torch.Tensor, tr_s: float) -> torch.Tensor:
        return self.model.decode(*self.model.latents(frames, tr_s))


def _costs(network: nn.Module, given: Stimulus, repeats: int, *more: float) -> tuple[float, ...]:
    first = next(iter(parts_of(given).values()))
    n_trs = first.shape[0] * first.shape[1]
    n_parameters = count_parameters(network)
    kept = kept_for_backward(network, given, *more) + BYTES_A_PARAMETER * n_parameters
    network.eval()
    flops = forward_flops(network, given, *more) / n_trs
    with torch.no_grad():
        (spent_ms,) = median_ms([lambda: network(given, *more)], repeats)
    return float(n_parameters), flops / 2e6, kept / 1e6, spent_ms / n_trs


def first_and_best(history: pd.DataFrame) -> tuple[float, float]:
    """Validation losses of the first check and of the best one, means over folds."""
    losses = history[(history["part"] == "validation") & (history["name"] == "loss")]
    folds = losses["fold"] if "fold" in losses else pd.Series(0, losses.index)
    by_fold = losses.sort_values("epoch").groupby(folds)["value"]
    return float(by_fold.first().mean()), float(by_fold.min().mean())


def comparison_table(results: pd.DataFrame, baseline: str = "averaging") -> pd.DataFrame:
    """The report's comparison table from a run's rows: a row a system, best scores first.

    Columns: the numbers learned in thousands, millions of multiplications and MB of a training
    step, seconds of training, also as multiples of the baseline's, and milliseconds a TR at
    inference, each summed over the parts of a system; percent by which the validation loss fell,
    of the part where it fell least; and the scores of ``QUALITY``, the best of several sizes. Costs
    are compared with the baseline's same parts. What a system does not have is NaN.

    Arguments
        results: tidy rows, see ``results.COLUMNS``, those of `measure_costs` among them.
        baseline: the system to whose training times the others' are multiples.
    """
    whole = results[results["group"] == ""]
    means = whole.groupby(["system", "modality", "metric", "floats_per_tr"], dropna=False)["value"]
    rows = means.mean().reset_index()
    costs = {
        name: rows[rows["metric"] == name].pivot_table(
            index="system", columns="modality", values="value", aggfunc="sum"
        )
        for name in (*COSTS, "training time_s")
    }
    systems = list(dict.fromkeys(rows.loc[rows["metric"].isin(COSTS), "system"]))
    table = pd.DataFrame(index=pd.Index(systems, name="system"))
    scaled = {"parameters, k": ("parameters", 1e-3), "training, MB": ("training memory_MB", 1)}
    scaled |= {"MMAC a TR": ("MMAC a TR", 1), "training, s": ("training time_s", 1)}
    scaled |= {"inference, ms a TR": ("inference_ms a TR", 1)}
    for column, (metric, scale) in scaled.items():
        table[column] = costs[metric].reindex(systems).sum(axis=1, min_count=1) * scale
    table[f"training, x {baseline}"] = _multiples(costs["training time_s"], systems, baseline)
    table["loss fell, %"] = _fallen(rows).reindex(systems)
    for modality, (metric, column) in QUALITY.items():
        chosen = rows[(rows["modality"] == modality) & (rows["metric"] == metric)]
        table[column] = chosen.groupby("system")["value"].max().reindex(systems)
    scores = [column for _, column in QUALITY.values()]
    by = [column for column in scores if table[column].notna().any()]
    return table.sort_values(by, ascending=False, na_position="last")


def _multiples(times: pd.DataFrame, systems: list[str], baseline: str) -> pd.Series:
    """Training time over that of the baseline's same parts; NaN where it lacks one."""
    times = times.reindex(systems)
    if baseline not in times.index:
        return pd.Series(np.nan, systems)
    own = times.loc[baseline]
    same = times.notna() & own.notna()
    of_baseline = same.mul(own.fillna(0.0), axis=1).sum(axis=1)
    known = (times.notna() == same).all(axis=1) & (of_baseline > 0)
    return (times.sum(axis=1) / of_baseline).where(known)


def _fallen(rows: pd.DataFrame) -> pd.Series:
    """Percent by which the loss fell, of a system's part where it fell least.

    Losses below 0, such as minus a correlation, are told by their size.
    """
    keys = ["system", "modality", "floats_per_tr"]
    first, best = (rows[rows["metric"] == metric].set_index(keys)["value"] for metric in LOSSES)
    fell = 100 * (first - best) / first.abs().clip(lower=1e-12)
    return fell.groupby("system").min()


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """`comparison_table` as text of three digits, empty where there is nothing; no empty column."""

    def said(cell: float) -> str:
        if pd.isna(cell):
            return ""
        return f"{cell:z.2f}" if abs(cell) < 10 else f"{cell:.0f}"

    text = table.map(said)
    return text.loc[:, (text != "").any()]


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
