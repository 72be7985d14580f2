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

from subtr.adversarial_training import AdversarialFitting, Adversary, Drawn
from subtr.augmentation import AugmentationParams, augment
from subtr.autoencoder_params import AutoencoderParams
from subtr.balancing import equal_gradient_weights
from subtr.curriculum import CurriculumParams, target_at
from subtr.distillation import (
    DistillationParams,
    Distiller,
    distillation_loss,
    follow_autoencoder,
)
from subtr.feature_error import FeatureError
from subtr.fitting import Fitting
from subtr.items import Batch, WindowBatches
from subtr.losses import Diagnostics, reconstruction_loss
from subtr.models import TemporalAutoencoder
from subtr.other_recordings import MixedBatches
from subtr.training import fit


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

    windows: WindowBatches | MixedBatches
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
    params: AutoencoderParams,
    folder: Path,
    seed: int,
    label: str,
    started: list[nn.Parameter] | None = None,
    taught: Taught | None = None,
    heard: FeatureError | None = None,
) -> pd.DataFrame:
    """Trains it, or reads it from ``folder``, and gives the history.

    Arguments
        batches: epoch -> what is learned from.
        validation: clean windows, by which the best weights are chosen.
        params: how it is trained, and by which loss.
        started: parameters that start from a solution.
        taught: the teacher to follow.
        heard: of the features that ``params.loss`` names.
    """
    wish, training = params.loss, params.training
    weights = {"within_weight": 1.0, "level_weight": params.level_weight}
    if params.balance:
        first = next(iter(batches(0)))
        weights = _balanced(model, first, tr_s, weights)

    def task(found: Tensor, wanted: Tensor) -> tuple[Tensor, Diagnostics]:
        error, named = reconstruction_loss(_flat(found), _flat(wanted), **weights)
        added, more = wish.added(found, wanted, tr_s)
        if heard is not None:
            of_features = heard.of(wanted.flatten(0, 1))(found.flatten(0, 1)).mean()
            added, more = added + of_features, more | {"features": of_features.detach()}
        return wish.error_weight * error + added, named | more

    def draw(model: nn.Module, batch: Batch) -> Drawn:
        clean = batch["frames"]
        given, target = batch.get("given", clean), batch.get("target", clean)
        pair = None
        if isinstance(model, TemporalAutoencoder):
            found = model(given, tr_s)
        elif not model.training:
            found = model.student(given, tr_s)
        else:
            pair = model(given, clean)
            found = pair.student_output[0]
        value, named = task(found, target)
        if pair is not None:
            how = (taught.params.vector_weight, taught.params.output_weight)
            followed, more = distillation_loss(*pair, task, None, *how)
            value, named = value + followed, named | more
        return Drawn(value, named, wish.signal(found), wish.signal(target))

    learner: nn.Module = model
    if taught is not None:
        follow = partial(follow_autoencoder, tr_s=tr_s)
        sizes = (taught.student_dim, taught.teacher_dim)
        learner = Distiller(model, taught.teacher, follow, *sizes)
    of_fitting = (batches, validation, training, seed, started or ())
    if wish.adversarial:
        adversary = Adversary(
            validation[0]["frames"][0, 0, 0].numel(), wish.adversarial, wish.discriminators
        )
        fitting = AdversarialFitting(learner, draw, adversary, *of_fitting)
    else:
        fitting = Fitting(learner, lambda *given: draw(*given)[:2], *of_fitting)
    return fit(fitting, folder, label)


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
