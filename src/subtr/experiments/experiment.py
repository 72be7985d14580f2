"""Trains systems and baselines on an experiment, scores them and keeps the tables."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Shaped

from subtr.datasets.study import Fold, Study, folds_of, with_speech_features
from subtr.decoders.griffin_lim import GriffinLim, Vocoder
from subtr.experiments.bold_scores import bold_rows, ceiling_rows, control_rows, subject_rows
from subtr.experiments.data import ExperimentData
from subtr.experiments.results import Row, read_table
from subtr.metrics.temporal import within_tr_r2
from subtr.models.autoencoder import Autoencoder
from subtr.models.linear import (
    fit_pca,
    holds_components,
    lanczos_baseline,
    mean_baseline,
    nearest_baseline,
)
from subtr.models.ridge import ridge_features, ridge_prediction
from subtr.models.saved import AUTOENCODER_FILE
from subtr.params import SettingsError, git_hash, params_hash
from subtr.stimulus.mel import log_mel_of_sound
from subtr.timeline import Split, consecutive
from subtr.training.autoencoders import (
    reconstruct_pictures,
    reconstruct_sound,
    train_pictures,
    train_sound,
)
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
        "within-TR R², coarse codes": within_tr_r2(original, of_codes.coarse),
    }
    return [
        labels | {"modality": "sound", "metric": metric, "value": float(value)}
        for metric, value in values.items()
    ]


def _time_row(modality: str, spent_s: float) -> Row:
    return {"modality": modality, "metric": "training time_s", "value": spent_s}


class Baseline(NamedTuple):
    """A baseline's name, the numbers that it keeps of a TR, and what it gives for the test TRs."""

    name: str
    floats_per_tr: float
    result: Shaped[np.ndarray, "..."]


def sound_baselines(
    study: Study,
    splits: list[Split],
    pca_floats: tuple[int, ...],
    vocoder: Vocoder | None = None,
    seed: int = 0,
) -> list[Baseline]:
    """Reconstructions of the log-mel of all test TRs, fold after fold.

    Besides the baselines there is their ceiling when heard: the original through a vocoder (by
    default Griffin-Lim) and back.
    """
    vocoder = vocoder or GriffinLim(study.mel_settings)
    mel = np.asarray(study.mel, dtype=np.float32)
    n_frames, n_mels = mel.shape[1:]
    found = _held(mel, splits, study, n_mels)
    for n_floats in pca_floats:
        found += _pca(mel, splits, study, n_floats, seed)
    round_trips = [_round_trip(study, mel, split, vocoder) for split in splits]
    return [*found, Baseline("round trip", n_frames * n_mels, np.concatenate(round_trips))]


def picture_baselines(
    study: Study, splits: list[Split], pca_floats: tuple[int, ...], seed: int = 0
) -> list[Baseline]:
    """Reconstructions of the pictures of all test TRs, fold after fold."""
    shape = study.pictures.shape[1:]
    flat = np.asarray(study.pictures).reshape(*study.pictures.shape[:2], -1).astype(np.float32)
    found = _held(flat, splits, study, flat.shape[2])
    for n_floats in pca_floats:
        found += _pca(flat, splits, study, n_floats, seed)
    as_pictures = []
    for name, n_floats, windows in found:
        pictures = np.clip(np.rint(windows), 0, 255).astype(np.uint8).reshape(-1, *shape)
        as_pictures.append(Baseline(name, n_floats, pictures))
    return as_pictures


def bold_baselines(folds: list[Fold]) -> list[Baseline]:
    """Ridge on what the usual pipelines would use; numbers a TR are those of the feature.

    With a weight for each lag ("ridge, word rate"), and behind the canonical response ("canonical
    ridge, word rate"), unless feature or BOLD went through a response already.
    """
    found, study = [], folds[0].study
    for name, of in ridge_features(study).items():
        if study.hrf_applied or name in study.convolved:
            kinds = {"ridge": {"fir_s": 0.0}}
        else:
            kinds = {"ridge": {}, "canonical ridge": {"canonical": True}}
        for kind, options in kinds.items():
            prediction = ridge_prediction(folds, of, **options)
            found.append(Baseline(f"{kind}, {name}", of.shape[1], prediction))
    return found


def _held(windows, splits: list[Split], study: Study, n_floats: int) -> list[Baseline]:
    named = {"mean": mean_baseline, "nearest": nearest_baseline, "Lanczos": lanczos_baseline}
    found = []
    for name, baseline in named.items():
        # Lanczos looks at the neighbouring TRs, so it gets consecutive ones.
        parts = [baseline(windows[trs]) for split in splits for trs in _stretches(split, study)]
        found.append(Baseline(name, n_floats, np.concatenate(parts)))
    return found


def _pca(windows, splits: list[Split], study: Study, n_floats: int, seed: int) -> list[Baseline]:
    parts = []
    for split in splits:
        stretches = consecutive(split.train, study.run_of_tr)
        if not holds_components(windows, stretches, n_floats):
            return []  # too little to learn so many components from
        pca = fit_pca(torch.tensor(windows), stretches, n_floats, seed)
        parts.append(pca.reconstruct(windows[split.test]))
    return [Baseline("PCA", n_floats, np.concatenate(parts))]


def _round_trip(study: Study, mel: np.ndarray, split: Split, vocoder: Vocoder) -> np.ndarray:
    parts = []
    for trs in _stretches(split, study):
        clock = type(study.clock)(study.clock.tr_s, len(trs), 0.0, study.clock.frames_per_tr)
        sound = vocoder(mel[trs], clock)
        parts.append(log_mel_of_sound(sound, vocoder.rate_hz, clock, study.mel_settings))
    return np.concatenate(parts)


def _stretches(split: Split, study: Study) -> list[np.ndarray]:
    return consecutive(split.test, study.run_of_tr)


def baseline_rows(experiment: ExperimentData, labels: Row) -> list[Row]:
    """Rows of mean, nearest, Lanczos, PCA and ridge, and of the noise ceiling.

    Reconstructions are kept in the run folder of the experiment.
    """
    rows: list[Row] = []
    study, splits = experiment.study, experiment.reconstruction_splits
    sizes = experiment.params.pca_floats
    if study.mel is not None:
        found = sound_baselines(study, splits, sizes, experiment.vocoder.vocoder)
        rows += _reconstructed(experiment, "sound", found, labels)
    if study.pictures is not None:
        # More components than pictures of a short film can tell apart would say little.
        found = picture_baselines(study, splits, sizes[:1])
        rows += _reconstructed(experiment, "pictures", found, labels)
    if study.bold:
        for name, n_floats, found in bold_baselines(experiment.folds):
            named = labels | {"system": name, "floats_per_tr": n_floats}
            rows += bold_rows(found, experiment.held_out, found, **named)
        rows += ceiling_rows(experiment.held_out, **labels | {"system": "noise ceiling"})
        rows += [row | labels for row in experiment.lags]
    return rows


def _reconstructed(
    experiment: ExperimentData, modality: str, found: list[Baseline], labels: Row
) -> list[Row]:
    rows = []
    for name, n_floats, windows in found:
        named = labels | {"system": name, "floats_per_tr": n_floats}
        rows += experiment.score(modality, windows, named)
        title = f"{name} {n_floats}" if name == "PCA" else name
        experiment.store.keep_windows(title, modality, windows, None)
    return rows


class Experiment(ExperimentData):
    """A study and its parameters, with what is trained and scored on it.

    Made by `open`. Whatever is finished is read from the run folder, not repeated.

    Example
        >>> import subtr as st
        >>> experiment = st.Experiment.open("simulated", "smoke", runs="runs")
        >>> len(experiment.folds) == experiment.params.n_folds
        True
    """

    def train(self, name: str, seed: int = 0) -> pd.DataFrame:
        """Trains a system on every part of the study that it has parameters for, and scores it.

        Keeps a table, histories and reconstructions in the run folder.

        Returns
            The rows of its results table.
        """
        system = self.system(name)
        labels = {"study": self.study.name, "system": name, "seed": seed}
        labels["params_hash"] = params_hash(self.params, system)
        rows: list[Row] = []
        if system.sound and self.study.mel is not None:
            rows += reconstruction_rows(self, "sound", system.sound, labels)
        if system.pictures and self.study.pictures is not None:
            rows += reconstruction_rows(self, "pictures", system.pictures, labels)
        shown = self.study.frames is not None or (system.bold and system.bold.pictures)
        if system.bold and self.study.bold and shown:
            rows += prediction_rows(self, system.bold, labels)
            rows += [row | labels for row in self.lags]
        sizes = [part.floats_per_tr for part in (system.sound, system.pictures) if part]
        self.store.forget_other_sizes(name, seed, [size for of in sizes for size in of])
        return self.keep_rows(f"{name}_seed{seed}", rows)

    def baselines(self) -> pd.DataFrame:
        """Scores what needs no training by gradient: mean, nearest, Lanczos, PCA, ridge.

        Read from the run folder where the same parameters and code scored them before.

        Returns
            The rows of their results table.
        """
        of = params_hash(self.params, self.params.vocoder) + self.training_hash()
        labels = {"study": self.study.name, "seed": 0, "params_hash": of}
        file = self.folder / "tables" / "baselines.csv"
        if file.exists() and "-dirty" not in git_hash():
            kept = read_table(file)
            if set(kept["params_hash"]) == {of} and set(kept["git"]) == {git_hash()}:
                return kept
        return self.keep_rows("baselines", baseline_rows(self, labels))


def system_part(experiment: ExperimentData, system: str, modality: str) -> AutoencoderParams:
    """What a system's params file says of "sound" or "pictures".

    Raises
        SettingsError: the study or the system has nothing of the modality.
    """
    study = experiment.study
    if (study.mel if modality == "sound" else study.pictures) is None:
        raise SettingsError(f"modality = {modality!r}: {study.name} has no {modality}.")
    params = getattr(experiment.system(system), modality, None)
    if params is None:
        raise SettingsError(f"system = {system!r}: system_{system}.yaml has no {modality}.")
    return params


def autoencoder_fold(
    experiment: ExperimentData,
    system: str,
    modality: str,
    n_floats: int,
    seed: int = 0,
    fold: int = 0,
) -> Fold:
    """How a system's autoencoder of one size is trained on one fold, and where it is kept.

    Raises
        SettingsError: as `system_part`, or there is no such fold.
    """
    params = system_part(experiment, system, modality).of_size(n_floats)
    folds = training_folds(experiment, system, modality, params, seed)
    if not 0 <= fold < len(folds):
        raise SettingsError(
            f"fold = {fold}: expected 0 to {len(folds) - 1}; reconstruction_folds of "
            f"{experiment.study.name} says on how many folds autoencoders are trained."
        )
    return folds[fold]


def trained_autoencoder(fold: Fold, modality: str) -> Autoencoder:
    """The autoencoder of an `autoencoder_fold`."""
    return train_sound(fold) if modality == "sound" else train_pictures(fold)


def autoencoder_file(fold: Fold, modality: str) -> Path:
    """The file by which the autoencoder of an `autoencoder_fold` is used on another film."""
    file = fold.folder / AUTOENCODER_FILE
    if not file.exists():
        trained_autoencoder(fold, modality)
    return file
