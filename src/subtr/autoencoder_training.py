"""Trains an autoencoder: what it is given, what it is asked for, and by what it is judged."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from subtr.adversarial_training import AdversarialFitting, Adversary, Drawn
from subtr.augmentation import augment
from subtr.balancing import equal_gradient_weights
from subtr.curriculum import CurriculumParams, target_at
from subtr.datasets.study import Fold
from subtr.distillation import Distiller, distillation_loss, follow_autoencoder
from subtr.fitting import Fitting
from subtr.losses import Diagnostics, reconstruction_loss
from subtr.models.autoencoder import FeatureError, TemporalAutoencoder
from subtr.models.batches import Batch, WindowBatches
from subtr.models.stream import AugmentationParams
from subtr.other_recordings import MixedBatches
from subtr.params import SettingsError
from subtr.training import fit


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
    fold: Fold,
    model: TemporalAutoencoder,
    batches: Callable[[int], LessonBatches],
    validation: list[Batch],
    started: Iterable[nn.Parameter] = (),
    heard: FeatureError | None = None,
) -> pd.DataFrame:
    """Trains it, or reads it from the fold's folder, and gives the history.

    Arguments
        fold: its ``params`` say how the model is trained, and by which loss; its ``teacher`` is an
            `Autoencoder`.
        batches: epoch -> what is learned from.
        validation: clean windows, by which the best weights are chosen.
        started: parameters that start from a solution.
        heard: of the features that ``params.loss`` names.

    Raises
        SettingsError: a teacher is to be followed, and there is none.
    """
    params, tr_s, teacher = fold.params, fold.study.clock.tr_s, fold.teacher
    if params.teacher is not None and teacher is None:
        raise SettingsError(f"teacher = {params.teacher.teacher!r}: it has not been trained.")
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
            how = (params.teacher.vector_weight, params.teacher.output_weight)
            followed, more = distillation_loss(pair, task, *how)
            value, named = value + followed, named | more
        return Drawn(value, named, wish.signal(found), wish.signal(target))

    learner: nn.Module = model
    if params.teacher is not None:
        follow = partial(follow_autoencoder, tr_s=tr_s)
        learner = Distiller(model, teacher.model, follow, params.n_floats, teacher.n_floats)
    of_fitting = (batches, validation, training, fold.seed, started)
    if wish.adversarial:
        adversary = Adversary(
            validation[0]["frames"][0, 0, 0].numel(), wish.adversarial, wish.discriminators
        )
        fitting = AdversarialFitting(learner, draw, adversary, *of_fitting)
    else:
        fitting = Fitting(learner, lambda *given: draw(*given)[:2], *of_fitting)
    return fit(fitting, fold.folder, fold.label)


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
