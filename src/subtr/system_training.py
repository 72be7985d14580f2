"""Trains the parts of a system on an experiment's study, and scores them."""

from dataclasses import replace

import numpy as np
import pandas as pd

from subtr.bold_scores import bold_rows, control_rows, subject_rows
from subtr.datasets.study import Fold, folds_of, with_speech_features
from subtr.experiment_data import ExperimentData
from subtr.metrics.temporal import temporal_preservation
from subtr.params import SettingsError
from subtr.scoring import Row
from subtr.training.autoencoders import reconstruct_pictures, reconstruct_sound
from subtr.training.encoding_models import predict_bold
from subtr.training.new_subjects import leave_one_subject_out
from subtr.training.quantised import QuantisedSound, coded, reconstruct_quantised
from subtr.training.systems import AutoencoderParams, BoldParams

PartParams = AutoencoderParams | BoldParams


def reconstruction_rows(
    experiment: ExperimentData,
    modality: str,
    params: AutoencoderParams,
    labels: Row,
    keep: bool = True,
) -> list[Row]:
    """Trains an autoencoder of each size on each fold; keeps what it gives, and scores it.

    Arguments
        modality: "sound" or "pictures".
        labels: ``system``, ``seed`` and what else every row shall say.
        keep: the histories and reconstructions, for notebooks to show.
    """
    rows = []
    for n_floats in params.floats_per_tr:
        rows += _of_size(experiment, modality, params.of_size(n_floats), labels, keep)
    return rows


def prediction_rows(
    experiment: ExperimentData, params: BoldParams, labels: Row, keep: bool = True
) -> list[Row]:
    """Trains a predictor of BOLD on each fold and scores it, with its controls.

    Arguments
        labels, keep: see `reconstruction_rows`.
    """
    experiment = with_features_of(experiment, params)
    name, seed = labels["system"], labels["seed"]
    folds = training_folds(experiment, name, "bold", params, seed)
    found, history = predict_bold(folds)
    if keep:
        experiment.store.keep_history(f"{name}_seed{seed}_bold", history)
    labels = labels | {"floats_per_tr": params.readout.vector_dim * params.readout.members}
    rows = bold_rows(found["mean"], experiment.held_out, found["calibrated"], **labels)
    rows += control_rows(found, experiment.held_out, **labels)
    rows.append(labels | _time_row("bold", history.attrs["training time_s"]))
    if params.new_subjects is not None:
        rows += _new_subject_rows(experiment, folds, labels)
    return rows


def with_features_of(experiment: ExperimentData, params: BoldParams) -> ExperimentData:
    """The same with the speech features that a system asks for; see `with_speech_features`."""
    if params.speech_features is None:
        return experiment
    return replace(experiment, study=with_speech_features(experiment.study, params.speech_features))


def _new_subject_rows(experiment: ExperimentData, folds: list[Fold], labels: Row) -> list[Row]:
    """Rows of systems "<name>, new head" and so on: each subject left out of the trunk in turn."""
    training = folds[0].folder.parent
    place = training.with_name(f"{training.name}_left_out")
    left_out = [fold.using(folder=place / fold.folder.name) for fold in folds]
    rows = []
    for kind, of in leave_one_subject_out(left_out, folds[0].params.new_subjects).items():
        named = labels | {"system": f"{labels['system']}, {kind}"}
        rows += subject_rows(of, experiment.held_out, **named)
    return rows


def training_folds(
    experiment: ExperimentData, name: str, part: str, params: PartParams, seed: int = 0
) -> list[Fold]:
    """How a part of a system is trained on each fold: where, as what, and with which teacher.

    Arguments
        name: of the system, or of what stands for it.
        part: "sound", "pictures" or "bold".
        params: of that part; an autoencoder's have one size, see `AutoencoderParams.of_size`.

    Raises
        SettingsError: a teacher that has nothing to teach, or teachers in a circle.
    """
    chain, study = _teachers(experiment, name, part, params), experiment.study
    splits, drift_order = experiment.splits, experiment.params.drift_order
    if part != "bold":
        splits = experiment.reconstruction_splits
    teachers: list[Fold | None] = [None] * len(splits)
    for above in reversed(range(len(chain))):
        who, theirs = chain[above]
        # Vectors are fitted after training, so that weights are the same with and without.
        of = experiment.training_hash(*(other.of_weights() for _, other in chain[above:]))
        size, said = "", "BOLD"
        if part != "bold":
            size, said = f"_{theirs.n_floats}", f"{part}, {theirs.n_floats} floats"
        folds = folds_of(
            study,
            splits,
            experiment.folder / "checkpoints" / f"{who}{size}_seed{seed}_{part}_{of}",
            f"{study.name}, {who}, {said}, seed {seed},",
            params=theirs,
            seed=seed,
            drift_order=drift_order,
        )
        teachers = [fold.using(teacher=of) for fold, of in zip(folds, teachers, strict=True)]
    return teachers


def _teachers(
    experiment: ExperimentData, name: str, part: str, params: PartParams
) -> list[tuple[str, PartParams]]:
    """Who is trained, whom they follow, whom those follow, and so on, each with parameters."""
    chain = [(name, params)]
    while chain[-1][1].teacher is not None:
        who, student = chain[-1][1].teacher.teacher, chain[-1][1]
        theirs = getattr(experiment.system(who), part)
        if theirs is None:
            raise SettingsError(
                f"teacher = {who!r}: system_{who}.yaml has no {part}, so there is nothing to "
                "follow; name a system that has."
            )
        if part != "bold":
            # A teacher of as many floats, or its largest.
            sizes, n_floats = theirs.floats_per_tr, student.n_floats
            theirs = theirs.of_size(n_floats if n_floats in sizes else max(sizes))
        if theirs == student:
            raise SettingsError(f"teacher = {who!r}: expected another system than the student.")
        chain.append((who, theirs))
        if len(chain) > 8:
            raise SettingsError(f"teacher = {params.teacher.teacher!r}: teachers go in a circle.")
    return chain


def _of_size(experiment, modality, params, labels, keep) -> list[Row]:
    name, seed, n_floats = labels["system"], labels["seed"], params.n_floats
    reconstruct = reconstruct_sound if modality == "sound" else reconstruct_pictures
    labels = labels | {"floats_per_tr": n_floats}
    parts, spent_s, histories, more_rows = [], 0.0, [], []
    for index, fold in enumerate(training_folds(experiment, name, modality, params, seed)):
        if modality == "sound" and params.codes is not None:
            of_codes = reconstruct_quantised(fold.using(params=coded(params, n_floats)))
            found, history = of_codes.whole, of_codes.history
            more_rows += _code_rows(fold, of_codes, labels | {"fold": index})
        else:
            found, history = reconstruct(fold)
        parts.append(found)
        histories.append(history.assign(fold=index))
        spent_s += history.attrs["training time_s"]
    found = np.concatenate(parts)
    if keep:
        training = f"{name}_{n_floats}_seed{seed}_{modality}"
        experiment.store.keep_history(training, pd.concat(histories))
        experiment.store.keep_windows(f"{name} {n_floats}", modality, found, seed)
    rows = [*experiment.score(modality, found, labels), *more_rows]
    return [*rows, labels | _time_row(modality, spent_s)]


def _code_rows(fold: Fold, of_codes: QuantisedSound, labels: Row) -> list[Row]:
    """What a TR costs in bits, and what the coarse codes alone keep of it."""
    original = np.asarray(fold.study.mel)[fold.test]
    values = {
        "bits a TR": fold.params.codes.bits_per_tr,
        "temporal preservation, coarse codes": temporal_preservation(original, of_codes.coarse),
    }
    return [
        labels | {"modality": "sound", "metric": metric, "value": float(value)}
        for metric, value in values.items()
    ]


def _time_row(modality: str, spent_s: float) -> Row:
    return {"modality": modality, "metric": "training time_s", "value": spent_s}
