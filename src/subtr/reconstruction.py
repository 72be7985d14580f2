"""Film to film through a few numbers a TR: trains on one part of time, reconstructs another."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor

from subtr.autoencoder_params import AutoencoderParams
from subtr.autoencoder_training import LessonBatches, Taught, train_autoencoder
from subtr.decoders import DECODERS, PICTURE_DECODERS
from subtr.errors import SettingsError
from subtr.fitting_vectors import fitted_vectors
from subtr.items import WindowBatches, consecutive, window_batches
from subtr.models import Stream, TemporalAutoencoder
from subtr.perturbation import PerturbationParams, perturbed
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
    n_frames, n_mels = frames.shape[1:]
    torch.manual_seed(seed)
    stream = Stream(n_mels, n_frames, n_floats, params.stream)
    model = TemporalAutoencoder(stream, params.decoder.build(DECODERS, n_floats, n_frames, n_mels))
    more = (folder, seed, label, teacher)
    history = _train(model, frames, learned, study, split, params, n_floats, *more)
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
    pictures = torch.from_numpy(np.array(study.pictures))
    frames = rearrange(pictures, "t p h w c -> t p c h w").float() / 255
    learned = (frames, consecutive(split.train, study.run_of_tr))
    n_pictures, _, height, width = frames.shape[1:]
    torch.manual_seed(seed)
    stream = Stream((height, width), n_pictures, n_floats, params.stream)
    decoder = params.decoder.build(PICTURE_DECODERS, n_floats, n_pictures, height, width)
    model = TemporalAutoencoder(stream, decoder)
    more = (folder, seed, label, teacher)
    history = _train(model, frames, learned, study, split, params, n_floats, *more)
    return Autoencoder(model, n_floats, frames, torch.zeros(()), torch.ones(()), history)


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
    found = trained.reconstruct(split.test, study, params.fit_steps).clamp(0, 1)
    found = rearrange(found, "t p c h w -> t p h w c")
    return (found * 255).round().byte().numpy(), trained.history


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
        model, batches, validation, clock.tr_s, params.training, folder, seed, label,
        params.level_weight, params.balance, started, taught,
    )  # fmt: skip
