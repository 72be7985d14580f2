"""Does it help to share a trunk over subjects, and what of a subject it never met?

Data: generated film with known BOLD of four subjects. About an hour on two cores.
Expected: joint training beats separate training of the same budget and every ridge; a subject it
never met reaches 0.8 of what systems reach that learned from that very subject.
"""

from pathlib import Path

import numpy as np

from benchmarks.subject_stream import fir_features, score_subjects
from benchmarks.tables import Row
from subtr.datasets import load_study
from subtr.datasets.held_out import cleaned_bold, held_out_bold
from subtr.datasets.study import Fold, folds_of
from subtr.experiments.bold_scores import groups_of, subject_rows
from subtr.experiments.results import block_trs
from subtr.metrics.bold import pearson_r
from subtr.metrics.inference import block_bootstrap
from subtr.models.ridge import ridge_features
from subtr.params import params_hash, validate
from subtr.training.encoding_models import fit_fold, predict_bold
from subtr.training.new_subjects import head_prediction, leave_one_subject_out, shared_of
from subtr.training.systems import BoldParams

UNSEEN_FILM = 1
SEEDS = (0, 1, 2)
EPOCHS = 48
SYSTEM = {
    "stream": {
        "encoder": {"name": "multiscale", "hidden_dim": 16, "activation": "relu", "norm": "none"},
        "aggregator": {"name": "kernels", "n_kernels": 3},
        "context_frames": 4,
    },
    "n_bands": 8,
    "readout": {"vector_dim": 16, "dropout": 0.1},
    "target": "subjects",
}
TRAINING = {"check_every_epochs": 4, "learning_rate": 3.0e-3, "weight_decay": 0.1}
DRIFT = 2

PAIRS = {
    "joint": ("separate", "separate, fourfold budget", "joint, mean of heads", "joint, embedding"),
    "left out, new head": ("left out, shared head", "left out, aligned"),
}
# Systems that learned from the very subject; all but the last by gradient.
WITHIN = ("joint", "separate", "separate, fourfold budget", "joint, closed-form head")


def run(folder: Path, seeds=SEEDS) -> list[Row]:
    """Rows of each subject by each system, by ridge, and of systems beside each other."""
    film = known_film()
    study, splits = film
    bold, rows, of_seeds = held_out_bold(study, splits, DRIFT), [], {}
    for seed in seeds:
        for system, of in predicted(film, seed, folder / "subjects").items():
            labels = {"study": "simulated", "system": system, "seed": seed}
            rows += subject_rows(of, bold, **labels, floats_per_tr=16)
            of = {name: standardise_by_fold(one, bold.tests) for name, one in of.items()}
            of_seeds.setdefault(system, []).append(of)
    features = fir_features(study, ridge_features(study))
    for scored in score_subjects(study, splits, features, DRIFT):
        labels = {"study": "simulated", "system": f"ridge, {scored.name}", "seed": 0}
        rows += scored.rows(**labels)
    asked = [(one, other, False) for one, others in PAIRS.items() for other in others]
    asked += [("left out, new head", within, True) for within in WITHIN]
    for system, other, share in asked:
        metric = f"share of r of {other}" if share else f"gain in r over {other}"
        found = compared(of_seeds[system], of_seeds[other], bold, share)
        for group, (value, low, high) in found.items():
            rows.append(
                {"study": "simulated", "system": system, "modality": "bold", "metric": metric}
                | {"group": group, "value": value, "low": low, "high": high}
                | {"floor": 0.0}
            )
    return rows


def params(max_epochs, **changes):
    values = SYSTEM | {"training": TRAINING | {"max_epochs": max_epochs}} | changes
    return validate(BoldParams, values, "subjects")


def known_film():
    load = {"duration_s": 1200, "n_subjects": 4, "frames_per_tr": 32, "seed": UNSEEN_FILM}
    study = load_study("simulated", load | {"pictures": None})
    return study, study.splits(4)[:1]


def predicted(film, seed, folder):
    """System -> subject -> prediction of the held-out TRs, all of one seed."""
    study, splits = film
    place = folder / f"seed{seed}"

    def joint(kind, system):
        where = place / f"{kind}_{params_hash(system)}"
        said = f"{kind}, seed {seed},"
        return predict_bold(
            folds_of(study, splits, where, said, params=system, seed=seed, drift_order=DRIFT)
        )[0]

    shared = joint("joint", params(EPOCHS))
    heads = {"heads": "embedding", "embedding_dim": 2}
    embedded = joint("embedding", params(EPOCHS, readout=SYSTEM["readout"] | heads))
    found = {
        "joint": {name: shared[name] for name in study.subjects},
        "joint, embedding": {name: embedded[name] for name in study.subjects},
        "joint, mean of heads": dict.fromkeys(study.subjects, shared["mean"]),
        "joint, closed-form head": closed_form(film, seed, place),
    }
    # As many epochs in all of them together as in the joint one; and as many in each.
    budgets = {"separate": EPOCHS // len(study.subjects), "separate, fourfold budget": EPOCHS}
    for system, epochs in budgets.items():
        alone = params(epochs)
        for index, name in enumerate(study.subjects):
            one = study.of_subjects(name)
            where = place / f"separate_{index}_{params_hash(alone)}"
            said = f"{system} {name}, seed {seed},"
            of = predict_bold(
                folds_of(one, splits, where, said, params=alone, seed=seed, drift_order=DRIFT)
            )[0]
            found.setdefault(system, {})[name] = of["mean"]
    left_out = params(EPOCHS, new_subjects={"alignment": "procrustes"})
    where = place / f"left_out_{params_hash(left_out)}"
    said = f"left out, seed {seed},"
    of_new = leave_one_subject_out(
        folds_of(study, splits, where, said, params=left_out, seed=seed, drift_order=DRIFT),
        left_out.new_subjects,
    )
    return found | {f"left out, {kind}": of for kind, of in of_new.items()}


def closed_form(film, seed, place):
    """The trunk that all were trained on, with each subject's head as a new subject's is fitted."""
    study, splits = film
    system = params(EPOCHS)
    where = place / f"joint_{params_hash(system)}" / "fold0"
    trained = fit_fold(
        Fold(study, splits[0], system, where, seed, f"joint, seed {seed}", drift_order=DRIFT)
    )
    shared = shared_of(trained.predictor, trained.stimulus, study)
    train, found = splits[0].train, {}
    own = cleaned_bold(study, splits[0], DRIFT)[0]
    for name in study.subjects:
        prediction = head_prediction(shared, own[name], train, study.clock.tr_s)
        found[name] = np.full(prediction.shape, np.nan)
        found[name][splits[0].test] = prediction[splits[0].test]
    return found


def compared(ours, theirs, bold, share=False):
    """Group -> mean r of all subjects and seeds, ours less theirs (or ours / theirs); interval.

    Both are scored on the same resampled volumes.

    Arguments
        ours, theirs: seed -> subject -> prediction.
    """
    trs, groups = np.sort(np.concatenate(bold.tests)), groups_of(bold.groups)
    names = list(bold.subjects)
    # Seeds and subjects side by side, so that a resample is scored at once.
    measured = np.concatenate([bold.subjects[name] for name in names] * len(ours), axis=1)[trs]
    one, other = (
        np.concatenate([of[name] for of in predictions for name in names], axis=1)[trs]
        for predictions in (ours, theirs)
    )

    def mean_r(predicted, at):
        r = pearson_r(predicted[at], measured[at]).reshape(-1, len(bold.groups))
        return np.array([np.nanmean(r[:, of]) for of in groups.values()])

    def statistic(chosen=slice(None)):
        pair = mean_r(one, chosen), mean_r(other, chosen)
        return pair[0] / pair[1] if share else pair[0] - pair[1]

    low, high = block_bootstrap(statistic, len(trs), block_trs(len(trs), bold.tr_s), n_boot=300)
    return dict(zip(groups, zip(statistic(), low, high, strict=True), strict=True))
