"""Does it help, where BOLD is scarce, that encoders first learn to redraw hidden sound?

Data: generated film with known BOLD, and Alice; a tenth, a third and all of their training time
labelled. About 3 hours on two cores. Expected: more labels help; of pre-training, nothing.
"""

import shutil
from pathlib import Path

import numpy as np

from benchmarks.data import real_study
from benchmarks.tables import Row
from subtr.datasets import load_study
from subtr.datasets.held_out import HeldOutBold, held_out_bold
from subtr.datasets.study import folds_of
from subtr.experiments.bold_scores import bold_rows
from subtr.experiments.data import StudyParams, SystemParams
from subtr.experiments.results import block_trs
from subtr.metrics.bold import pearson_r
from subtr.metrics.inference import block_bootstrap
from subtr.params import load_params, params_folder, params_hash, validate
from subtr.training.encoding_models import predict_bold
from subtr.training.systems import BoldParams

# Settings were chosen on the film of seed 0.
UNSEEN_FILM = 1
SEEDS = (0, 1, 2)
FRACTIONS = (0.1, 0.3, 1.0)
PRETRAINING = {
    "mask": "tube",
    "mask_ratio": 0.75,
    "training": {"max_epochs": 15, "check_every_epochs": 3, "learning_rate": 3.0e-3},
}
STARTED_RATE = 1.0


def run(
    folder: Path, studies=("simulated", "alice"), fractions=FRACTIONS, seeds=SEEDS
) -> list[Row]:
    """Rows of both systems at each share of labelled time, and what pre-training gains."""
    rows = []
    if "simulated" in studies:
        load = {"duration_s": 1200, "n_subjects": 4, "seed": UNSEEN_FILM, "pictures": None}
        study = load_study("simulated", load)
        rows += measure(study, study.splits(n_folds=3)[:1], 2, fractions, seeds, folder)
    if "alice" in studies:
        settings = load_params(StudyParams, params_folder("full") / "study_alice.yaml")
        study = real_study("alice", settings.load)
        splits, drift_order = settings.splits(study)[:3], settings.drift_order
        rows += measure(study, splits, drift_order, fractions, seeds, folder)
    return rows


def systems():
    """Tier 1, one member and fewer epochs of it, and the same with pre-training; by name."""
    params = load_params(SystemParams, params_folder("full") / "system_tier1.yaml")
    plain = params.bold.model_dump()
    plain["readout"] |= {"members": 1}
    plain["training"] |= {"max_epochs": 60}
    started = plain["training"] | {"started_rate": STARTED_RATE}
    pretrained = plain | {"pretraining": PRETRAINING, "training": started}
    return {"tier1": plain, "tier1, pre-trained": pretrained}


def measure(study, splits, drift_order, fractions, seeds, folder) -> list[Row]:
    bold = held_out_bold(study, splits, drift_order)
    name, rows = study.name, []
    for fraction in fractions:
        predictions = {}
        for system, values in systems().items():
            params = validate(BoldParams, values | {"label_fraction": fraction}, system)
            labels = {"study": name, "system": f"{system}, {fraction:.0%} labelled"}
            labels["params_hash"] = params_hash(params)
            for seed in seeds:
                kept = folder / f"pretraining_{name}" / f"{system} {seed}"
                place = kept / f"{fraction:.0%}_{params_hash(params)}"
                shared = kept / "before"
                # Pre-training knows nothing of BOLD, so all shares of it go on from the same.
                if params.pretraining is not None:
                    shared = shared.with_name(f"before_{params_hash(params.pretraining)}")
                    if shared.exists() and not place.exists():
                        shutil.copytree(shared, place)
                said = f"{labels['system']}, seed {seed},"
                found, _ = predict_bold(
                    folds_of(
                        study,
                        splits,
                        place,
                        said,
                        params=params,
                        seed=seed,
                        drift_order=drift_order,
                    )
                )
                if params.pretraining is not None and not shared.exists():
                    for fold in place.iterdir():
                        shutil.copytree(fold / "pretraining", shared / fold.name / "pretraining")
                rows += bold_rows(found["mean"], bold, **labels, seed=seed)
                predictions.setdefault(system, []).append(bold.scored(found["mean"]))
        plain, pretrained = predictions.values()
        labels = {"study": name, "system": f"pre-training, {fraction:.0%} labelled"}
        rows += [labels | row for row in gains(pretrained, plain, bold, seeds)]
    return rows


def gains(ours, theirs, bold: HeldOutBold, seeds=SEEDS) -> list[Row]:
    """Mean r of single seeds less that of the same seeds without pre-training, by group.

    Seeds are never averaged before they are scored. Intervals resample blocks of the same volumes
    for both; rows of single seeds stand beside their mean.
    """
    trs = np.sort(np.concatenate(bold.tests))
    names = ["", *dict.fromkeys(bold.groups)]
    of = {name: bold.groups.eq(name).to_numpy() | (name == "") for name in names}

    def by_seed(chosen=slice(None)):
        at, r = trs[chosen], []
        for one, other in zip(ours, theirs, strict=True):
            difference = pearson_r(one[at], bold.mean[at]) - pearson_r(other[at], bold.mean[at])
            r.append([np.nanmean(difference[of[name]]) for name in names])
        return np.array([*r, np.mean(r, axis=0)])

    values, length = by_seed(), block_trs(len(trs), bold.tr_s)
    low, high = block_bootstrap(by_seed, len(trs), length, n_boot=500)
    rows = []
    for index, seed in enumerate([*seeds, None]):
        metric = "gain in r, mean of seeds" if seed is None else "gain in r, one seed"
        for column, name in enumerate(names):
            at = index, column
            row = {"metric": metric, "group": name, "value": values[at], "floor": 0.0}
            rows.append(row | {"low": low[at], "high": high[at], "modality": "bold", "seed": seed})
    return rows
