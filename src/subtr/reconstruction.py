"""Film to film through a few numbers a TR: trains on one part of time, reconstructs another."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32, UInt8

from subtr.autoencoder import Autoencoder
from subtr.autoencoder_params import AutoencoderParams
from subtr.autoencoder_training import LessonBatches, Taught, train_autoencoder
from subtr.errors import SettingsError
from subtr.export import StreamSpec
from subtr.feature_error import FeatureError
from subtr.items import consecutive, window_batches
from subtr.other_recordings import OtherWindows, mixed_windows
from subtr.params import params_hash
from subtr.perturbation import PerturbationParams, perturbed
from subtr.results import git_hash
from subtr.saved_autoencoder import (
    AUTOENCODER_FILE,
    AutoencoderSpec,
    SavedAutoencoder,
    frames_of_pictures,
    pictures_of_frames,
)
from subtr.splits import Split
from subtr.starts import start_model
from subtr.study import Study


@dataclass(frozen=True)
class AutoencoderTask:
    """What an autoencoder learns from, and where it is kept.

    Arguments
        split: of the study's TRs; validation chooses among checkpoints, test is never looked at.
        n_floats: numbers a TR.
        folder: of checkpoints and of the autoencoder's file; a run that was cut short goes on.
        seed: of the first weights and of the order of windows.
        label: what progress and errors call it.
        teacher: whom ``params.teacher`` has it follow.
    """

    study: Study
    split: Split
    params: AutoencoderParams
    n_floats: int
    folder: Path
    seed: int
    label: str
    teacher: Autoencoder | None = None


def train_sound(task: AutoencoderTask) -> Autoencoder:
    """Trains an autoencoder of the log-mel, or reads it from the task's folder.

    Raises
        SettingsError: its TRs are told by ``codes``, for which is `subtr.quantised_training`.
    """
    study, split, params = task.study, task.split, task.params
    if getattr(params, "codes", None) is not None:
        raise SettingsError(
            f"{task.label}: codes: expected floats here. A system of codes is trained and scored "
            "by Experiment.train; it teaches no other, and is neither opened nor looked into."
        )
    mel = torch.from_numpy(np.array(study.mel, dtype=np.float32))
    known = mel[torch.from_numpy(split.train)]
    # One scale for all bands: errors keep the weight that they have in the score.
    center, scale = known.mean(dim=(0, 1)), known.std()
    frames = (mel - center) / scale
    learned = perturbed(frames, consecutive(split.train, study.run_of_tr), params.perturbation)
    heard = _heard(task, frames.shape[1], center, scale)
    others = _others(task, center, scale)
    return _trained(task, frames, learned, frames.shape[2], center, scale, heard, others)


def train_pictures(task: AutoencoderTask) -> Autoencoder:
    """Trains an autoencoder of the pictures, or reads it from the task's folder.

    Raises
        SettingsError: ``perturbation`` moves bands, which pictures do not have.
    """
    study, split, params = task.study, task.split, task.params
    if params.perturbation != PerturbationParams():
        raise SettingsError("perturbation: expected none for pictures; it is made for sound alone.")
    frames = frames_of_pictures(np.array(study.pictures))
    learned = (frames, consecutive(split.train, study.run_of_tr))
    height, width = frames.shape[3:]
    return _trained(task, frames, learned, (height, width), torch.zeros(()), torch.ones(()))


def reconstruct_sound(
    task: AutoencoderTask,
) -> tuple[Float32[np.ndarray, "test frame mel"], pd.DataFrame]:
    """The log-mel of the test TRs from the task's numbers a TR, and the training's history."""
    # Before the training, not after it.
    task.params.vector_fit.check()
    trained = train_sound(task)
    found = trained.reconstruct(task.split.test, task.study, task.params.vector_fit)
    return found.numpy(), trained.history


def reconstruct_pictures(
    task: AutoencoderTask,
) -> tuple[UInt8[np.ndarray, "test picture height width 3"], pd.DataFrame]:
    """The pictures of the test TRs from the task's numbers a TR, and the training's history."""
    trained = train_pictures(task)
    found = trained.reconstruct(task.split.test, task.study, task.params.vector_fit)
    return pictures_of_frames(found), trained.history


def _heard(task: AutoencoderTask, *units) -> FeatureError | None:
    """The features that are learned from; weights that are read anyway need none."""
    features, study = task.params.loss.features, task.study
    if features is None or (task.folder / "done.json").exists():
        return None
    return features.error(study.mel_settings, study.clock.tr_s, *units)


def _others(task: AutoencoderTask, center, scale) -> OtherWindows | None:
    """What is learned from beside the study, in the units of the study's training time."""
    if not task.params.others_share or (task.folder / "done.json").exists():
        return None
    return OtherWindows.of(task.study, center, scale, task.params)


def _trained(
    task: AutoencoderTask, frames, learned, in_dim, center, scale, heard=None, others=None
) -> Autoencoder:
    spec = _spec(task, frames.shape[1], in_dim)
    torch.manual_seed(task.seed)
    model = spec.build()
    history = _train(task, model, frames, learned, heard, others)
    saved, file = SavedAutoencoder(spec, model, center, scale), task.folder / AUTOENCODER_FILE
    done = task.folder / "done.json"
    if not file.exists() or file.stat().st_mtime < done.stat().st_mtime:
        saved.save(file)
    return Autoencoder(model, task.n_floats, frames, center, scale, history)


def _spec(task: AutoencoderTask, n_frames, in_dim) -> AutoencoderSpec:
    study, params, is_sound = task.study, task.params, isinstance(in_dim, int)
    stream = StreamSpec(
        in_dim=in_dim, frames_per_tr=n_frames, dim=task.n_floats, params=params.stream
    )
    came_from = {"study": study.name, "training": task.label, "seed": str(task.seed)}
    return AutoencoderSpec(
        stream=stream,
        decoder=params.decoder,
        mel=study.mel_settings if is_sound else None,
        tr_s=study.clock.tr_s,
        provenance=came_from | {"git": git_hash(), "params_hash": params_hash(params)},
    )


def _train(task: AutoencoderTask, model, frames, learned, heard, others) -> pd.DataFrame:
    params, clock, (learned_frames, stretches) = task.params, task.study.clock, learned
    started = []
    # Weights that are read anyway need no start.
    if not (task.folder / "done.json").exists():
        started = start_model(model, params, learned_frames, stretches, task.n_floats, task.seed)
    mean = 0.0 if frames.ndim == 3 else frames[torch.from_numpy(task.split.train)].mean((0, 1))

    def batches(epoch: int) -> LessonBatches:
        of_epoch = task.seed * 1_000_003 + epoch
        sizes = (params.item_trs, params.batch_size, params.batches_per_epoch)
        windows = mixed_windows(learned_frames, stretches, others, *sizes, of_epoch)
        lesson = (epoch, params.training.max_epochs, frames.shape[1] / clock.tr_s)
        return LessonBatches(windows, *lesson, params.augmentation, params.curriculum, mean)

    of_validation = consecutive(task.split.validation, task.study.run_of_tr)
    validation = window_batches(frames, of_validation)
    taught = None
    if params.teacher is not None:
        if task.teacher is None:
            raise SettingsError(f"teacher = {params.teacher.teacher!r}: it has not been trained.")
        sizes = (task.teacher.n_floats, task.n_floats)
        taught = Taught(task.teacher.model, *sizes, params.teacher)
    place = (task.folder, task.seed, task.label)
    return train_autoencoder(
        model, batches, validation, clock.tr_s, params, *place, started, taught, heard
    )
