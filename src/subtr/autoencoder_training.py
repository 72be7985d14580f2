"""Trains an autoencoder: what it is given, what it is asked for, and by what it is judged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from subtr.augmentation import AugmentationParams, augment
from subtr.balancing import equal_gradient_weights
from subtr.curriculum import CurriculumParams, target_at
from subtr.distillation import (
    DistillationParams,
    Distiller,
    distillation_loss,
    follow_autoencoder,
)
from subtr.fitting import Fitting
from subtr.items import Batch, WindowBatches
from subtr.losses import Diagnostics, reconstruction_loss
from subtr.models import TemporalAutoencoder
from subtr.training import fit
from subtr.training_params import TrainingParams


class Taught(NamedTuple):
    """A trained teacher, the sizes of its vector and the student's, and how much it is followed."""

    teacher: TemporalAutoencoder
    teacher_dim: int
    student_dim: int
    params: DistillationParams


@dataclass
class LessonBatches:
    """Windows with what the model is given in their place, and what it is asked for.

    Arguments
        windows: the clean ones, of one epoch.
        epoch, max_epochs, frame_hz: see `subtr.curriculum.target_at`.
        augmentation: None gives the model the clean windows.
        curriculum: None asks for all of them.
        mean: what stands in the place of masked frames.
    """

    windows: WindowBatches
    epoch: int
    max_epochs: int
    frame_hz: float
    augmentation: AugmentationParams | None = None
    curriculum: CurriculumParams | None = None
    mean: Float[Tensor, "..."] | float = 0.0

    def __len__(self) -> int:
        return len(self.windows)

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.windows.seed)
        for batch in self.windows:
            clean = batch["frames"]
            if self.augmentation:
                batch["given"] = augment(clean, self.augmentation, generator, self.mean)
            if self.curriculum:
                lesson = (self.epoch, self.max_epochs, self.curriculum, self.frame_hz)
                batch["target"] = target_at(clean, *lesson)
            yield batch


def train_autoencoder(
    model: TemporalAutoencoder,
    batches: Callable[[int], LessonBatches],
    validation: list[Batch],
    tr_s: float,
    training: TrainingParams,
    folder: Path,
    seed: int,
    label: str,
    level_weight: float = 1.0,
    balance: bool = False,
    started: list[nn.Parameter] | None = None,
    taught: Taught | None = None,
) -> pd.DataFrame:
    """Trains it, or reads it from ``folder``, and gives the history.

    Arguments
        batches: epoch -> what is learned from.
        validation: clean windows, by which the best weights are chosen.
        balance: the error within TRs and that of their level pull equally hard at the start.
        started: parameters that start from a solution.
        taught: the teacher to follow.
    """
    weights = {"within_weight": 1.0, "level_weight": level_weight}
    if balance:
        first = next(iter(batches(0)))
        weights = _balanced(model, first, tr_s, weights)

    def task(found: Tensor, wanted: Tensor) -> tuple[Tensor, Diagnostics]:
        return reconstruction_loss(_flat(found), _flat(wanted), **weights)

    def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Diagnostics]:
        clean = batch["frames"]
        given, target = batch.get("given", clean), batch.get("target", clean)
        if isinstance(model, TemporalAutoencoder):
            return task(model(given, tr_s), target)
        if not model.training:
            return task(model.student(given, tr_s), target)
        pair = model(given, clean)
        value, named = task(pair.student_output[0], target)
        how = (taught.params.vector_weight, taught.params.output_weight)
        followed, more = distillation_loss(*pair, task, None, *how)
        return value + followed, named | more

    learner: nn.Module = model
    if taught is not None:
        follow = partial(follow_autoencoder, tr_s=tr_s)
        sizes = (taught.student_dim, taught.teacher_dim)
        learner = Distiller(model, taught.teacher, follow, *sizes)
    return fit(
        Fitting(learner, objective, batches, validation, training, seed, started or ()),
        folder,
        label,
    )


def _balanced(model, batch: Batch, tr_s: float, weights: dict[str, float]) -> dict[str, float]:
    def losses(model: TemporalAutoencoder, batch: Batch) -> dict[str, Tensor]:
        clean = batch["frames"]
        found, wanted = model(batch.get("given", clean), tr_s), batch.get("target", clean)
        nothing = dict.fromkeys(weights, 0.0)
        return {
            part: reconstruction_loss(_flat(found), _flat(wanted), **nothing | {part: weight})[0]
            for part, weight in weights.items()
        }

    found = equal_gradient_weights(model, batch, losses)
    return {part: weight * found[part] for part, weight in weights.items()}


def _flat(frames: Tensor) -> Tensor:
    """Of pictures, every pixel and colour is a feature."""
    return frames.flatten(3) if frames.ndim == 6 else frames
