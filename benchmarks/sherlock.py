"""Does it help to know when within a TR a film's annotations begin, in real BOLD?

Data: Sherlock, six regions of 17 viewers, and its annotations. About 10 minutes on two cores.
Expected: speaking correlates with early auditory BOLD at 0.54 in sample, as published; onsets say
more than whole TRs; the shift that the authors made is right, and one more is wrong; with the lag
left to the FIR instead, the same is found.
"""

from pathlib import Path

import numpy as np

from benchmarks.data import real_study
from benchmarks.tables import Row
from subtr.datasets.held_out import HeldOutBold, held_out_bold
from subtr.datasets.sherlock import SHIFT_TRS
from subtr.datasets.study import folds_of
from subtr.experiments.bold_scores import bold_rows, control_rows
from subtr.experiments.data import StudyParams
from subtr.experiments.results import block_trs
from subtr.metrics.bold import pearson_r
from subtr.metrics.inference import block_bootstrap
from subtr.models.ridge import ridge_prediction
from subtr.models.stream import Part, StreamParams
from subtr.params import load_params, params_folder, params_hash
from subtr.training.encoding_models import predict_bold
from subtr.training.fit import TrainingParams
from subtr.training.systems import BoldParams

SEEDS = (0, 1, 2)
# BOLD that was moved back by 3 TRs was measured as many TRs later: what bears on it goes on to that
# moment, and begins 10.5 s before it.
CONTEXT = (4, SHIFT_TRS)
# Onsets are whole seconds, so three frames of half a second hold all that is known.
FRAMES = 3


def run(folder: Path, seeds=SEEDS) -> list[Row]:
    """Rows of ridge and of networks, what they gain, and of the same with the shift undone."""
    settings = load_params(StudyParams, params_folder("full") / "study_sherlock.yaml")
    study = real_study("sherlock", settings.load | {"frames_per_tr": FRAMES})
    rows = in_sample(study) + measure(settings, study, seeds, folder)
    return rows + unshifted_rows(settings)


def with_neighbours(features, run_of_tr, before=CONTEXT[0], after=CONTEXT[1]):
    """Each TR's features beside those of the TRs around it; NaN, which ridge takes for the mean of
    its training TRs, outside of the run.
    """
    parts = []
    for run in np.unique(run_of_tr):
        of = features[run_of_tr == run]
        edge = np.full((1, of.shape[1]), np.nan)
        padded = np.concatenate([edge.repeat(before, 0), of, edge.repeat(after, 0)])
        parts.append(
            np.concatenate([padded[k : k + len(of)] for k in range(before + after + 1)], 1)
        )
    return np.concatenate(parts)


def predictor(aggregator):
    """A small network of the annotations; both kinds differ in the aggregator alone."""
    return BoldParams(
        stream=StreamParams(encoder=Part(name="linear", hidden_dim=24), aggregator=aggregator),
        readout={"vector_dim": 16, "response": "applied", "context_trs": CONTEXT, "dropout": 0.2},
        training=TrainingParams(max_epochs=40, learning_rate=5e-3, weight_decay=0.3),
    )


NETWORKS = {
    "network, TR means": predictor(Part(name="mean")),
    "network, sub-TR onsets": predictor(Part(name="kernels", n_kernels=2)),
}


def ridge_inputs(study):
    """Name -> per-TR inputs, from what whole TRs say to what their frames say."""
    whole = study.regressors["annotations, whole TRs"]
    means = study.features.mean(axis=1, dtype=float)
    frames = study.features.reshape(len(means), -1).astype(float)
    inputs = {
        "ridge, speaking": study.regressors["speaking"],
        "ridge, whole TRs": whole,
        "ridge, TR means": means,
        "ridge, sub-TR onsets": frames,
        "ridge, sub-TR onsets through the HRF": study.regressors["annotations, HRF"],
    }
    for name in ("ridge, whole TRs", "ridge, TR means", "ridge, sub-TR onsets"):
        inputs[f"{name}, context"] = with_neighbours(inputs[name], study.run_of_tr)
    # What shifting twice would cost: the lag that the authors took out is put back.
    late = np.concatenate([means[:1].repeat(SHIFT_TRS, 0), means[:-SHIFT_TRS]])
    return inputs | {"ridge, TR means, shifted twice": late}


def gains(name, ours, theirs, bold: HeldOutBold, labels):
    """Mean r of single seeds less that of a baseline's, of the same volumes, by region."""
    trs = bold.trs
    groups = ["", *bold.groups]

    def by_group(index):
        chosen = trs[index]
        r = [np.mean([pearson_r(one[chosen], bold.mean[chosen]) for one in of], axis=0)
             for of in (ours, theirs)]  # fmt: skip
        return np.concatenate([[np.mean(r[0] - r[1])], r[0] - r[1]])

    value = by_group(np.arange(len(trs)))
    low, high = block_bootstrap(by_group, len(trs), block_trs(len(trs), bold.tr_s))
    return [
        labels | {"modality": "bold", "metric": f"gain in r over {name}", "group": group,
                  "value": value[index], "low": low[index], "high": high[index], "floor": 0.0}
        for index, group in enumerate(groups)
    ]  # fmt: skip


def measure(settings, study, seeds, folder) -> list[Row]:
    splits = settings.splits(study)
    bold = held_out_bold(study, splits, settings.drift_order)
    rows, predictions = [], {}
    for name, inputs in ridge_inputs(study).items():
        found = ridge_prediction(folds_of(study, splits, drift_order=settings.drift_order), inputs)
        labels = {"study": "sherlock", "system": name, "seed": 0, "floats_per_tr": inputs.shape[1]}
        rows += bold_rows(found, bold, **labels)
        predictions[name] = [bold.scored(found)]
    for name, params in NETWORKS.items():
        predictions[name] = []
        for seed in seeds:
            labels = {"study": "sherlock", "system": name, "seed": seed}
            labels["params_hash"] = params_hash(settings, params)
            labels["floats_per_tr"] = params.readout.vector_dim
            place = folder / "sherlock" / f"{name}_{seed}_{labels['params_hash']}"
            said = f"sherlock, {name}, seed {seed},"
            found, history = predict_bold(
                folds_of(
                    study,
                    splits,
                    place,
                    said,
                    params=params,
                    seed=seed,
                    drift_order=settings.drift_order,
                )
            )
            rows += bold_rows(found["mean"], bold, **labels)
            rows += control_rows(found, bold, **labels)
            spent = {"metric": "training time_s", "value": history.attrs["training time_s"]}
            rows.append(labels | {"modality": "bold"} | spent)
            predictions[name].append(bold.scored(found["mean"]))
    for ours, theirs in (
        ("ridge, TR means", "ridge, whole TRs"),
        ("ridge, sub-TR onsets", "ridge, TR means"),
        ("ridge, TR means, context", "ridge, whole TRs, context"),
        ("ridge, sub-TR onsets, context", "ridge, TR means, context"),
        ("network, sub-TR onsets", "network, TR means"),
        ("network, sub-TR onsets", "ridge, sub-TR onsets, context"),
        ("ridge, TR means", "ridge, TR means, shifted twice"),
    ):
        labels = {"study": "sherlock", "system": ours}
        rows += gains(theirs, predictions[ours], predictions[theirs], bold, labels)
    return rows


def in_sample(study):
    """r of the speaking annotation with the group's early auditory series, as it is described."""
    group = study.group_mean()[:, 0]
    named = {"whole TRs": study.regressors["speaking"][:, 0], "TR means": study.features[..., 0]}
    labels = {"study": "sherlock", "modality": "bold", "group": "early auditory"}
    rows = []
    for name, of in named.items():
        series = of if of.ndim == 1 else of.mean(axis=1)
        r = float(np.corrcoef(series, group)[0, 1])
        rows.append(labels | {"system": f"speaking, {name}", "metric": "r, in sample", "value": r})
    return rows


def unshifted_rows(settings):
    """The same annotations through FIR ridge, to BOLD moved back to when it was measured."""
    study = real_study("sherlock", {"frames_per_tr": FRAMES, "undo_shift": True})
    splits = settings.splits(study)
    bold = held_out_bold(study, splits, settings.drift_order)
    means = study.features.mean(axis=1, dtype=float)
    found = ridge_prediction(folds_of(study, splits, drift_order=settings.drift_order), means)
    labels = {"study": "sherlock", "system": "ridge, TR means, FIR, shift undone", "seed": 0}
    return bold_rows(found, bold, **labels, floats_per_tr=means.shape[1])
