"""Film to film through a few numbers a TR: trains on one part of time, reconstructs another."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from subtr.autoencoder_training import LessonBatches, train_autoencoder
from subtr.datasets.study import Fold
from subtr.models.autoencoder import Autoencoder, FeatureError
from subtr.models.batches import epoch_seed, window_batches
from subtr.models.saved import (
    AUTOENCODER_FILE,
    AutoencoderSpec,
    SavedAutoencoder,
    StreamSpec,
    frames_of_mel,
    frames_of_pictures,
    pictures_of_frames,
)
from subtr.other_recordings import OtherWindows, mixed_windows
from subtr.params import SettingsError, git_hash, params_hash
from subtr.perturbation import PerturbationParams, perturbed
from subtr.starts import start_model
from subtr.timeline import consecutive


def train_sound(fold: Fold) -> Autoencoder:
    """Trains an autoencoder of the log-mel, or reads it from the fold's folder.

    Arguments
        fold: its ``params`` are `SoundParams` of one size; its ``teacher``, where they ask for one,
            is the `Autoencoder` or the fold to train it on. Test TRs are never looked at.

    Raises
        SettingsError: several sizes, no teacher where one is to be followed, or ``codes``, for
            which is `subtr.quantised_training`.
    """
    if getattr(fold.params, "codes", None) is not None:
        raise SettingsError(
            f"{fold.label} codes: expected floats here. A system of codes is trained and scored "
            "by Experiment.train; it teaches no other, and is neither opened nor looked into."
        )
    fold = _with_teacher(fold, train_sound)
    study, params = fold.study, fold.params
    frames, center, scale = frames_of_mel(study.mel, fold.train)
    learned = perturbed(frames, consecutive(fold.train, study.run_of_tr), params.perturbation)
    heard = _heard(fold, frames.shape[1], center, scale)
    others = _others(fold, center, scale)
    shown = _Shown(frames, frames.shape[2], center, scale)
    return _trained(fold, shown, learned, heard, others)


def train_pictures(fold: Fold) -> Autoencoder:
    """Trains an autoencoder of the pictures, or reads it from the fold's folder.

    Arguments
        fold: as of `train_sound`, with `PictureParams`.

    Raises
        SettingsError: as `train_sound`; or ``perturbation`` moves bands, which pictures do not
            have.
    """
    fold = _with_teacher(fold, train_pictures)
    study, params = fold.study, fold.params
    if params.perturbation != PerturbationParams():
        raise SettingsError("perturbation: expected none for pictures; it is made for sound alone.")
    frames = frames_of_pictures(np.array(study.pictures))
    learned = (frames, consecutive(fold.train, study.run_of_tr))
    height, width = frames.shape[3:]
    shown = _Shown(frames, (height, width), torch.zeros(()), torch.ones(()))
    return _trained(fold, shown, learned)


def reconstruct_sound(
    fold: Fold,
) -> tuple[Float32[np.ndarray, "test frame mel"], pd.DataFrame]:
    """The log-mel of the test TRs from a few numbers a TR, and the training's history."""
    # Before the training, not after it.
    fold.params.vector_fit.check()
    trained = train_sound(fold)
    found = trained.reconstruct(fold.test, fold.study, fold.params.vector_fit)
    return found.numpy(), trained.history


def reconstruct_pictures(
    fold: Fold,
) -> tuple[UInt8[np.ndarray, "test picture height width 3"], pd.DataFrame]:
    """The pictures of the test TRs from a few numbers a TR, and the training's history."""
    trained = train_pictures(fold)
    found = trained.reconstruct(fold.test, fold.study, fold.params.vector_fit)
    return pictures_of_frames(found), trained.history


class _Shown(NamedTuple):
    """The stimulus as it enters the model, the size of a frame, and the way back to its units."""

    frames: Tensor
    in_dim: int | tuple[int, int]
    center: Tensor
    scale: Tensor


def _with_teacher(fold: Fold, train: Callable[[Fold], Autoencoder]) -> Fold:
    """With a trained teacher in the place of the fold that it is to be trained on."""
    if fold.params.teacher is not None and isinstance(fold.teacher, Fold):
        return fold.using(teacher=train(fold.teacher))
    return fold


def _is_trained(fold: Fold) -> bool:
    return (fold.folder / "done.json").exists()


def _heard(fold: Fold, *units) -> FeatureError | None:
    """The features that are learned from; weights that are read anyway need none."""
    features, study = fold.params.loss.features, fold.study
    if features is None or _is_trained(fold):
        return None
    return features.error(study.mel_settings, study.clock.tr_s, *units)


def _others(fold: Fold, center, scale) -> OtherWindows | None:
    """What is learned from beside the study, in the units of the study's training time."""
    if not fold.params.others_share or _is_trained(fold):
        return None
    return OtherWindows.of(fold.study, center, scale, fold.params)


def _trained(fold: Fold, shown: _Shown, learned, heard=None, others=None) -> Autoencoder:
    spec = _spec(fold, shown)
    torch.manual_seed(fold.seed)
    model = spec.build()
    history = _train(fold, model, shown.frames, learned, heard, others)
    units, file = (shown.center, shown.scale), fold.folder / AUTOENCODER_FILE
    done = fold.folder / "done.json"
    if not file.exists() or file.stat().st_mtime < done.stat().st_mtime:
        SavedAutoencoder(spec, model, *units).save(file)
    return Autoencoder(model, fold.params.n_floats, shown.frames, *units, history)


def _spec(fold: Fold, shown: _Shown) -> AutoencoderSpec:
    study, params, is_sound = fold.study, fold.params, isinstance(shown.in_dim, int)
    stream = StreamSpec(
        in_dim=shown.in_dim,
        frames_per_tr=shown.frames.shape[1],
        dim=params.n_floats,
        params=params.stream,
    )
    came_from = {"study": study.name, "training": fold.label, "seed": str(fold.seed)}
    return AutoencoderSpec(
        stream=stream,
        decoder=params.decoder,
        mel=study.mel_settings if is_sound else None,
        tr_s=study.clock.tr_s,
        provenance=came_from | {"git": git_hash(), "params_hash": params_hash(params)},
    )


def _train(fold: Fold, model, frames, learned, heard, others) -> pd.DataFrame:
    params, clock, (learned_frames, stretches) = fold.params, fold.study.clock, learned
    started = []
    # Weights that are read anyway need no start.
    if not _is_trained(fold):
        started = start_model(model, params, learned_frames, stretches, fold.seed)
    mean = 0.0 if frames.ndim == 3 else frames[torch.from_numpy(fold.train)].mean((0, 1))

    def batches(epoch: int) -> LessonBatches:
        of_epoch = epoch_seed(fold.seed, epoch)
        sizes = (params.item_trs, params.batch_size, params.batches_per_epoch)
        windows = mixed_windows(learned_frames, stretches, others, *sizes, of_epoch)
        lesson = (epoch, params.training.max_epochs, frames.shape[1] / clock.tr_s)
        return LessonBatches(windows, *lesson, params.augmentation, params.curriculum, mean)

    validation = window_batches(frames, consecutive(fold.validation, fold.study.run_of_tr))
    return train_autoencoder(fold, model, batches, validation, started, heard)
