"""Are segments identified from BOLD, by predicting BOLD and by decoding the stimulus?

Data: generated film with known BOLD, and Alice. About an hour on two cores.
Expected: intervals above chance, ceilings above 0.9, the mean stimulus at chance.
"""

from pathlib import Path

import numpy as np

from benchmarks.data import real_study
from benchmarks.tables import Row
from subtr.datasets import load_study
from subtr.datasets.held_out import held_out_bold
from subtr.datasets.study import Fold, folds_of
from subtr.experiments.bold_scores import OVERLAP_S, SEGMENT_S, bold_rows
from subtr.experiments.data import SystemParams
from subtr.experiments.decoding import (
    PREFIX,
    decode,
    decoding_rows,
    fit_decoders,
    identified,
    with_bold_of,
)
from subtr.experiments.experiment import bold_baselines
from subtr.metrics.identification import cut_segments, identify
from subtr.models.stimulus_decoder import autoencoder_code, components_code
from subtr.params import load_params, params_folder, params_hash, validate
from subtr.timeline import consecutive
from subtr.training.autoencoders import train_sound
from subtr.training.encoding_models import predict_bold
from subtr.training.systems import AutoencoderParams

SEEDS = (0, 1, 2)
N_FOLDS, DRIFT_ORDER, N_FLOATS = 3, 2, 64
PAIRWISE, TOP1 = "identification (pairwise)", "identification (top-1)"
LEARNED = {
    "stream": {"encoder": {"name": "linear", "hidden_dim": 32}, "aggregator": {"name": "linear"}},
    "floats_per_tr": [N_FLOATS],
    "batches_per_epoch": 10,
    "training": {"max_epochs": 8, "check_every_epochs": 4, "learning_rate": 3.0e-3},
}


def run(folder: Path, studies=("simulated", "alice"), seeds=SEEDS) -> list[Row]:
    """Rows of both ways, of each study."""
    rows = []
    for name in studies:
        if name == "simulated":
            study = load_study(name, {"duration_s": 720, "n_subjects": 4, "seed": 1})
        else:
            study = real_study(name)
        splits, place = study.splits(N_FOLDS), folder / "identification" / "checkpoints" / name
        its = predicted_rows(study, splits, seeds, place)
        its += decoded_rows(study, splits, seeds, place)
        rows += [row | {"study": name} for row in its]
    return rows


def predictor_params():
    """Tier 1 as on a laptop, with heads of the subjects' own for the control."""
    params = load_params(SystemParams, params_folder("smoke") / "system_tier1.yaml").bold
    training = params.training.model_copy(update={"max_epochs": 20})
    return params.model_copy(update={"training": training, "target": "subjects"})


def predicted_rows(study, splits, seeds, folder) -> list[Row]:
    """BOLD predicted by ridge and by tier 1; each head with its own and with another's BOLD."""
    held_out, rows = held_out_bold(study, splits, DRIFT_ORDER), []
    for name, n_floats, found in bold_baselines(folds_of(study, splits, drift_order=DRIFT_ORDER)):
        labels = {"study": study.name, "system": name, "floats_per_tr": n_floats, "seed": 0}
        rows += bold_rows(found, held_out, found, **labels)
    params = predictor_params()
    for seed in seeds:
        place = folder / f"tier1_{seed}_{params_hash(params)}"
        said = f"{study.name}, tier1, seed {seed},"
        found, _ = predict_bold(
            folds_of(study, splits, place, said, params=params, seed=seed, drift_order=DRIFT_ORDER)
        )
        labels = {"study": study.name, "system": "tier1", "seed": seed}
        labels["floats_per_tr"] = params.readout.vector_dim * params.readout.members
        rows += bold_rows(found["mean"], held_out, found["calibrated"], **labels)
        labels["modality"] = "bold"
        for pair, shift in (("own subject", 0), ("wrong subject", 1)):
            told = of_subjects(found, held_out, study, shift)
            for metric, name in ((PAIRWISE, "pairwise"), (TOP1, "top1")):
                value = float(np.mean([of.value(name) for of in told]))
                row = {"metric": f"{metric}, {pair}", "value": value}
                rows.append(labels | row | {"floor": told[0].chance(name)})
    return rows


def of_subjects(found, held_out, study, shift):
    """Each subject's BOLD among segments that the head of the one ``shift`` further predicts."""
    segments = cut_segments(
        consecutive(held_out.trs, study.run_of_tr), round(SEGMENT_S / study.clock.tr_s)
    )
    overlap_trs, subjects = int(np.ceil(OVERLAP_S / study.clock.tr_s)), study.subjects
    told = []
    for index, subject in enumerate(subjects):
        head = found[subjects[(index + shift) % len(subjects)]]
        prediction = held_out.scored(head, subject)
        bold = held_out.subjects[subject]
        told.append(identify(bold, prediction, segments, overlap_trs, study.run_of_tr, n_draws=1))
    return told


def decoded_rows(study, splits, seeds, folder) -> list[Row]:
    """Sound decoded from the subjects' mean; and by decoders of one subject from another's BOLD."""
    rows = []
    components = [components_code(study, split, N_FLOATS) for split in splits]
    rows += scored(study, splits, components, "PCA", 0)
    rows += across(study, splits, components)
    params = validate(AutoencoderParams, LEARNED, "linear")
    for seed in seeds:
        codes = []
        for fold, split in enumerate(splits):
            place = folder / f"linear_{seed}_{params_hash(params)}" / f"fold{fold}"
            said = f"{study.name}, linear, seed {seed}, fold {fold}"
            trained = train_sound(Fold(study, split, params.of_size(N_FLOATS), place, seed, said))
            codes.append(autoencoder_code(trained, study, split))
        rows += scored(study, splits, codes, "learned", seed)
    return rows


def scored(study, splits, codes, system, seed):
    decoded = decode(fit_decoders(folds_of(study, splits, drift_order=DRIFT_ORDER), codes), study)
    labels = {"study": study.name, "system": system, "seed": seed, "floats_per_tr": N_FLOATS}
    return decoding_rows(decoded, study, **labels)


def across(study, splits, codes, n_subjects=4):
    """Decoders of single subjects, given their own BOLD and that of the next subject."""
    subjects, values = study.subjects[:n_subjects], {"own subject": [], "wrong subject": []}
    for index, subject in enumerate(subjects):
        fitted = fit_decoders(folds_of(study, splits, drift_order=DRIFT_ORDER), codes, subject)
        other = with_bold_of(fitted, study, subjects[(index + 1) % len(subjects)])
        for pair, of in (("own subject", fitted), ("wrong subject", other)):
            values[pair].append(identified(decode(of, study), study, n_draws=1).value("pairwise"))
    labels = {"study": study.name, "system": "PCA", "seed": 0, "floats_per_tr": N_FLOATS}
    labels |= {"modality": "sound", "floor": 0.5}
    return [
        labels | {"metric": f"{PREFIX}{PAIRWISE}, {pair}", "value": float(np.mean(of))}
        for pair, of in values.items()
    ]
