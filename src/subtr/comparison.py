"""The report's comparison table, measured: what systems cost beside what they keep.

Section 9 of the report gives each approach stars; here every cell is a measurement of a run.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import nn

from subtr.cost.measuring import count_parameters, forward_flops, kept_for_backward, median_ms
from subtr.datasets.study import Study
from subtr.decoders import DECODERS, PICTURE_DECODERS
from subtr.experiment import Experiment
from subtr.models.autoencoder import TemporalAutoencoder
from subtr.models.batches import Stimulus, parts_of, stimulus_of
from subtr.models.stream import Stream
from subtr.results import read_table, write_results
from subtr.system_training import with_features_of
from subtr.training.encoding_models import bold_predictor, bold_stimulus
from subtr.training.quantised import QuantisedAutoencoder, coded
from subtr.training.systems import AutoencoderParams, BoldParams

COSTS = ("parameters", "MMAC a TR", "training memory_MB", "inference_ms a TR")
LOSSES = ("validation loss, first", "validation loss, best")
# Of each part, the score that the report's stars stand for.
QUALITY = {
    "sound": ("temporal preservation", "audio: within-TR R²"),
    "pictures": ("motion coherence", "video: motion coherence"),
    "bold": ("r / ceiling", "BOLD: r / ceiling"),
}
# Weights, their gradients and two moments of AdamW, in float32.
_BYTES_A_PARAMETER = 16


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
    kept = kept_for_backward(network, given, *more) + _BYTES_A_PARAMETER * n_parameters
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
