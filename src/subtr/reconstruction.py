"""Film to film through a few numbers a TR: trains on one part of time, reconstructs another."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor

from subtr.autoencoder_params import AutoencoderParams
from subtr.autoencoder_training import LessonBatches, Taught, train_autoencoder
from subtr.errors import SettingsError
from subtr.export import StreamSpec
from subtr.fitting_vectors import fitted_vectors
from subtr.items import WindowBatches, consecutive, window_batches
from subtr.models import TemporalAutoencoder
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
class Autoencoder:
    """A trained autoencoder with what it was trained on.

    Arguments
        model: in eval mode.
        n_floats: numbers a TR.
        frames: the stimulus as it enters the model: standardised log-mel, or pictures from 0 to 1.
        center, scale: bring log-mel back to its own units; 0 and 1 for pictures.
        history: of the training.
    """

    model: TemporalAutoencoder
    n_floats: int
    frames: Float[Tensor, "tr frame *feature"]
    center: Float[Tensor, "..."]
    scale: Float[Tensor, ""]
    history: pd.DataFrame

    @torch.no_grad()
    def reconstruct(
        self, trs: Int[np.ndarray, " _"], study: Study, fit_steps: int = 0
    ) -> Float[Tensor, "_ frame *feature"]:
        """TRs of the study as they come back, in the stimulus's own units."""
        tr_s, found = study.clock.tr_s, []
        for batch in window_batches(self.frames, consecutive(trs, study.run_of_tr)):
            (frames,) = batch["frames"]
            vectors = self.model.stream(frames[None], tr_s)[0]
            vectors = fitted_vectors(self.model.decoder, vectors, frames, fit_steps)
            found.append(self.model.decoder(vectors[None])[0])
        return torch.cat(found) * self.scale + self.center


def train_sound(
    study: Study,
    split: Split,
    params: AutoencoderParams,
    n_floats: int,
    folder: Path,
    seed: int,
    label: str,
    teacher: Autoencoder | None = None,
) -> Autoencoder:
    """Trains an autoencoder of the log-mel, or reads it from ``folder``."""
    mel = torch.from_numpy(np.array(study.mel, dtype=np.float32))
    known = mel[torch.from_numpy(split.train)]
    # One scale for all bands: errors keep the weight that they have in the score.
    center, scale = known.mean(dim=(0, 1)), known.std()
    frames = (mel - center) / scale
    learned = perturbed(frames, consecutive(split.train, study.run_of_tr), params.perturbation)
    spec = _spec(study, params, n_floats, frames.shape[1], frames.shape[2], (label, seed))
    torch.manual_seed(seed)
    model = spec.build()
    more = (folder, seed, label, teacher)
    history = _train(model, frames, learned, study, split, params, n_floats, *more)
    _keep(SavedAutoencoder(spec, model, center, scale), folder)
    return Autoencoder(model, n_floats, frames, center, scale, history)


def train_pictures(
    study: Study,
    split: Split,
    params: AutoencoderParams,
    n_floats: int,
    folder: Path,
    seed: int,
    label: str,
    teacher: Autoencoder | None = None,
) -> Autoencoder:
    """Trains an autoencoder of the pictures, or reads it from ``folder``.

    Raises
        SettingsError: ``perturbation`` moves bands, which pictures do not have.
    """
    if params.perturbation != PerturbationParams():
        raise SettingsError("perturbation: expected none for pictures; it is made for sound alone.")
    frames = frames_of_pictures(np.array(study.pictures))
    learned = (frames, consecutive(split.train, study.run_of_tr))
    n_pictures, _, height, width = frames.shape[1:]
    spec = _spec(study, params, n_floats, n_pictures, (height, width), (label, seed))
    torch.manual_seed(seed)
    model = spec.build()
    more = (folder, seed, label, teacher)
    history = _train(model, frames, learned, study, split, params, n_floats, *more)
    center, scale = torch.zeros(()), torch.ones(())
    _keep(SavedAutoencoder(spec, model, center, scale), folder)
    return Autoencoder(model, n_floats, frames, center, scale, history)


def reconstruct_sound(
    study: Study,
    split: Split,
    params: AutoencoderParams,
    n_floats: int,
    folder: Path,
    seed: int,
    label: str,
    teacher: Autoencoder | None = None,
) -> tuple[Float32[np.ndarray, "test frame mel"], pd.DataFrame]:
    """The log-mel of the split's test TRs from ``n_floats`` numbers a TR, and the history."""
    trained = train_sound(study, split, params, n_floats, folder, seed, label, teacher)
    found = trained.reconstruct(split.test, study, params.fit_steps)
    return found.numpy(), trained.history


def reconstruct_pictures(
    study: Study,
    split: Split,
    params: AutoencoderParams,
    n_floats: int,
    folder: Path,
    seed: int,
    label: str,
    teacher: Autoencoder | None = None,
) -> tuple[UInt8[np.ndarray, "test picture height width 3"], pd.DataFrame]:
    """The pictures of the split's test TRs from ``n_floats`` numbers a TR, and the history."""
    trained = train_pictures(study, split, params, n_floats, folder, seed, label, teacher)
    found = trained.reconstruct(split.test, study, params.fit_steps)
    return pictures_of_frames(found), trained.history


def _spec(study, params, n_floats, n_frames, in_dim, origin) -> AutoencoderSpec:
    (label, seed), is_sound = origin, isinstance(in_dim, int)
    stream = StreamSpec(in_dim=in_dim, frames_per_tr=n_frames, dim=n_floats, params=params.stream)
    came_from = {"study": study.name, "training": label, "seed": str(seed), "git": git_hash()}
    return AutoencoderSpec(
        stream=stream,
        decoder=params.decoder,
        mel=study.mel_settings if is_sound else None,
        tr_s=study.clock.tr_s,
        provenance=came_from | {"params_hash": params_hash(params)},
    )


def _keep(saved: SavedAutoencoder, folder: Path):
    file, done = folder / AUTOENCODER_FILE, folder / "done.json"
    if not file.exists() or file.stat().st_mtime < done.stat().st_mtime:
        saved.save(file)


def _train(model, frames, learned, study, split, params, n_floats, folder, seed, label, teacher):
    learned_frames, stretches = learned
    started, clock = [], study.clock
    # Weights that are read anyway need no start.
    if not (folder / "done.json").exists():
        started = start_model(model, params, learned_frames, stretches, n_floats, seed)
    mean = 0.0 if frames.ndim == 3 else frames[torch.from_numpy(split.train)].mean((0, 1))

    def batches(epoch: int) -> LessonBatches:
        of_epoch = seed * 1_000_003 + epoch
        sizes = (params.item_trs, params.batch_size, params.batches_per_epoch)
        windows = WindowBatches(learned_frames, stretches, *sizes, of_epoch)
        lesson = (epoch, params.training.max_epochs, frames.shape[1] / clock.tr_s)
        return LessonBatches(windows, *lesson, params.augmentation, params.curriculum, mean)

    validation = window_batches(frames, consecutive(split.validation, study.run_of_tr))
    taught = None
    if params.teacher is not None:
        if teacher is None:
            raise SettingsError(f"teacher = {params.teacher.teacher!r}: it has not been trained.")
        taught = Taught(teacher.model, teacher.n_floats, n_floats, params.teacher)
    return train_autoencoder(
        model, batches, validation, clock.tr_s, params, folder, seed, label, started, taught
    )
