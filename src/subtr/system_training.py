"""Trains the parts of a system on an experiment's study, and scores them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from subtr.autoencoder import Autoencoder
from subtr.autoencoder_params import AutoencoderParams
from subtr.bold_scoring import bold_rows, control_rows
from subtr.errors import SettingsError
from subtr.metrics import temporal_preservation
from subtr.new_subjects import leave_one_subject_out
from subtr.params import Strict
from subtr.prediction import BoldParams, predict_bold
from subtr.quantised import QuantisedParams
from subtr.quantised_training import QuantisedSound, coded, reconstruct_quantised
from subtr.reconstruction import (
    AutoencoderTask,
    reconstruct_pictures,
    reconstruct_sound,
    train_pictures,
    train_sound,
)
from subtr.scoring import Row
from subtr.study_speech_features import with_speech_features
from subtr.subject_scoring import subject_rows

if TYPE_CHECKING:
    from subtr.experiment import Experiment


def reconstruction_rows(
    experiment: "Experiment",
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
        rows += _of_size(experiment, modality, params, n_floats, labels, keep)
    return rows


def prediction_rows(
    experiment: "Experiment", params: BoldParams, labels: Row, keep: bool = True
) -> list[Row]:
    """Trains a predictor of BOLD on each fold and scores it, with its controls.

    Arguments
        labels, keep: see `reconstruction_rows`.
    """
    experiment = with_features_of(experiment, params)
    name, seed, study = labels["system"], labels["seed"], experiment.study
    teacher = None
    if params.teacher is not None:
        theirs = _teacher_params(experiment, params, "bold")
        teacher = (theirs, prediction_folder(experiment, params.teacher.teacher, theirs, seed))
    found, history = predict_bold(
        study,
        experiment.splits,
        params,
        experiment.params.drift_order,
        prediction_folder(experiment, name, params, seed),
        seed,
        f"{study.name}, {name}, BOLD, seed {seed},",
        teacher,
    )
    if keep:
        experiment.store.keep_history(f"{name}_seed{seed}_bold", history)
    labels = labels | {"floats_per_tr": params.readout.vector_dim * params.readout.members}
    rows = bold_rows(found["mean"], experiment.held_out, found["calibrated"], **labels)
    rows += control_rows(found, experiment.held_out, **labels)
    rows.append(labels | _time_row("bold", history.attrs["training time_s"]))
    if params.new_subjects is not None:
        rows += _new_subject_rows(experiment, params, labels)
    return rows


def with_features_of(experiment: "Experiment", params: BoldParams) -> "Experiment":
    """The same with the speech features that a system asks for; see `with_speech_features`."""
    if params.speech_features is None:
        return experiment
    return replace(experiment, study=with_speech_features(experiment.study, params.speech_features))


def _new_subject_rows(experiment: "Experiment", params: BoldParams, labels: Row) -> list[Row]:
    """Rows of systems "<name>, new head" and so on: each subject left out of the trunk in turn."""
    name, seed, study = labels["system"], labels["seed"], experiment.study
    place = prediction_folder(experiment, name, params, seed)
    found = leave_one_subject_out(
        study,
        experiment.splits,
        params,
        experiment.params.drift_order,
        place.with_name(f"{place.name}_left_out"),
        seed,
        f"{study.name}, {name}, BOLD, seed {seed},",
        params.new_subjects,
    )
    rows = []
    for kind, of in found.items():
        rows += subject_rows(of, experiment.held_out, **labels | {"system": f"{name}, {kind}"})
    return rows


def autoencoder_folder(
    experiment: "Experiment",
    name: str,
    modality: str,
    params: AutoencoderParams,
    n_floats: int,
    seed: int,
) -> Path:
    """Where the checkpoints of an autoencoder lie, a folder a fold."""
    # Vectors are fitted after training, so that weights are the same with and without.
    of = _hash(experiment, params.of_weights(), modality)
    training = f"{name}_{n_floats}_seed{seed}_{modality}_{of}"
    return experiment.folder / "checkpoints" / training


def prediction_folder(experiment: "Experiment", name: str, params: BoldParams, seed: int) -> Path:
    """Where the checkpoints of a predictor lie, a folder a fold."""
    # How new subjects are predicted is of no matter to the training.
    of = _hash(experiment, params.model_copy(update={"new_subjects": None}), "bold")
    return experiment.folder / "checkpoints" / f"{name}_seed{seed}_bold_{of}"


def _of_size(experiment, modality, params, n_floats, labels, keep) -> list[Row]:
    name, seed, study = labels["system"], labels["seed"], experiment.study
    reconstruct = reconstruct_sound if modality == "sound" else reconstruct_pictures
    place = autoencoder_folder(experiment, name, modality, params, n_floats, seed)
    label = f"{study.name}, {name}, {modality}, {n_floats} floats, seed {seed}"
    parts, spent_s, histories, more_rows = [], 0.0, [], []
    labels = labels | {"floats_per_tr": n_floats}
    for fold, split in enumerate(experiment.reconstruction_splits):
        if modality == "sound" and params.codes is not None:
            how = coded(params, n_floats)
            of_codes = reconstruct_quantised(
                study, split, how, place / f"fold{fold}", seed, f"{label}, fold {fold}"
            )
            found, history = of_codes.whole, of_codes.history
            more_rows += _code_rows(study, split, of_codes, how, labels | {"fold": fold})
        else:
            teacher = teacher_of(experiment, modality, params, n_floats, seed, fold)
            more = (place / f"fold{fold}", seed, f"{label}, fold {fold}", teacher)
            found, history = reconstruct(AutoencoderTask(study, split, params, n_floats, *more))
        parts.append(found)
        histories.append(history.assign(fold=fold))
        spent_s += history.attrs["training time_s"]
    found = np.concatenate(parts)
    if keep:
        training = f"{name}_{n_floats}_seed{seed}_{modality}"
        experiment.store.keep_history(training, pd.concat(histories))
        experiment.store.keep_windows(f"{name} {n_floats}", modality, found, seed)
    rows = [*experiment.score(modality, found, labels), *more_rows]
    return [*rows, labels | _time_row(modality, spent_s)]


def _code_rows(
    study, split, of_codes: QuantisedSound, params: QuantisedParams, labels
) -> list[Row]:
    """What a TR costs in bits, and what the coarse codes alone keep of it."""
    values = {
        "bits a TR": params.quantiser.bits_per_tr,
        "temporal preservation, coarse codes": temporal_preservation(
            study.mel[split.test], of_codes.coarse
        ),
    }
    return [
        labels | {"modality": "sound", "metric": metric, "value": float(value)}
        for metric, value in values.items()
    ]


def teacher_of(
    experiment: "Experiment",
    modality: str,
    params: AutoencoderParams,
    n_floats: int,
    seed: int,
    fold: int,
) -> Autoencoder | None:
    """The teacher of as many floats, or its largest; trained now if it has not been."""
    if params.teacher is None:
        return None
    theirs, name = _teacher_params(experiment, params, modality), params.teacher.teacher
    sizes = theirs.floats_per_tr
    size = n_floats if n_floats in sizes else max(sizes)
    train: Callable = train_sound if modality == "sound" else train_pictures
    place = autoencoder_folder(experiment, name, modality, theirs, size, seed) / f"fold{fold}"
    label = f"{experiment.study.name}, {name}, {modality}, {size} floats, seed {seed}, fold {fold}"
    split = experiment.reconstruction_splits[fold]
    above = teacher_of(experiment, modality, theirs, size, seed, fold)
    return train(AutoencoderTask(experiment.study, split, theirs, size, place, seed, label, above))


def _teacher_params(experiment: "Experiment", params: Strict, part: str):
    """A teacher's parameters of the same part; raises SettingsError if it has none."""
    name = params.teacher.teacher
    theirs = getattr(experiment.system(name), part)
    if theirs is None:
        raise SettingsError(
            f"teacher = {name!r}: system_{name}.yaml has no {part}, so there is nothing to follow; "
            f"name a system that has."
        )
    if theirs == params:
        raise SettingsError(f"teacher = {name!r}: expected another system than the student.")
    return theirs


def _hash(experiment: "Experiment", params: Strict, part: str) -> str:
    """Of all that a training depends on, its teachers included."""
    chain = [params]
    while chain[-1].teacher is not None:
        chain.append(_teacher_params(experiment, chain[-1], part))
        if len(chain) > 8:
            raise SettingsError(f"teacher = {params.teacher.teacher!r}: teachers go in a circle.")
    return experiment.training_hash(*chain)


def _time_row(modality: str, spent_s: float) -> Row:
    return {"modality": modality, "metric": "training time_s", "value": spent_s}
