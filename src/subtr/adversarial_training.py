"""Training against discriminators that are trained with the model: one optimiser for each side."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from subtr.discriminator_params import DiscriminatorParams
from subtr.discriminators import (
    Discriminators,
    discriminator_loss,
    feature_matching_loss,
    fooling_loss,
)
from subtr.fitting import Fitting
from subtr.models.batches import Batch
from subtr.training_params import TrainingParams

# Of the discriminators, as in HiFi-GAN, section 3.
_BETAS = (0.8, 0.99)


class Drawn(NamedTuple):
    """A loss with its parts, and what it was measured on: the model's signal and the original's."""

    loss: Float[Tensor, ""]
    named: dict[str, Tensor]
    made: Float[Tensor, "batch channel time"]
    real: Float[Tensor, "batch channel time"]


class Adversary(NamedTuple):
    """Discriminators of signals with ``channels`` channels, and the ``weight`` of their verdict."""

    channels: int
    weight: float
    params: DiscriminatorParams


class AdversarialFitting(Fitting):
    """As `Fitting`, and at every step discriminators learn first, then judge what the model made.

    The model's loss is what ``draw`` gives plus, times the weight of the adversary, the verdict and
    the feature matching (HiFi-GAN, equation 5). Which weights are kept is decided by what ``draw``
    gives alone, for a verdict means something else from epoch to epoch.

    Learning rates follow from the epoch and are no state, so a resumed run has them too.

    Arguments
        draw: (model, batch) -> `Drawn`.
        adversary: what is trained against.
        the others: see `Fitting`.
    """

    def __init__(
        self,
        model: nn.Module,
        draw: Callable[[nn.Module, Batch], Drawn],
        adversary: Adversary,
        batches_of_epoch: Callable[[int], Iterable[Batch]],
        validation: list[Batch],
        params: TrainingParams,
        seed: int,
        started: Iterable[nn.Parameter] = (),
    ):
        def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            return draw(model, batch)[:2]

        super().__init__(model, objective, batches_of_epoch, validation, params, seed, started)
        self.automatic_optimization = False
        self.draw, self.adversary = draw, adversary
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.discriminators = Discriminators(adversary.channels, adversary.params)

    def configure_optimizers(self):
        against = torch.optim.AdamW(
            self.discriminators.parameters(), lr=self.adversary.params.learning_rate, betas=_BETAS
        )
        optimisers = [self.optimiser(), against]
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["first_lr"] = group["lr"]
        return optimisers

    def on_train_epoch_start(self):
        super().on_train_epoch_start()
        done = self.current_epoch / self.params.max_epochs
        part = 1.0 if self.params.schedule == "constant" else (1 + math.cos(math.pi * done)) / 2
        for optimiser in self.optimizers():
            for group in optimiser.param_groups:
                group["lr"] = part * group["first_lr"]

    def training_step(self, batch: Batch, index: int) -> None:
        own, against = self.optimizers()
        drawn = self.draw(self.model, batch)
        judged = self.discriminators.both(drawn.real, drawn.made.detach())
        told, named = discriminator_loss(*judged)
        self._step(against, told)

        loss = drawn.loss
        if self.current_epoch >= self.adversary.params.after * self.params.max_epochs:
            self.discriminators.requires_grad_(False)
            made = self.discriminators(drawn.made)
            with torch.no_grad():
                real = self.discriminators(drawn.real)
            fooled, matched = fooling_loss(made), feature_matching_loss(real, made)
            verdict = fooled + self.adversary.params.feature_matching * matched
            loss = loss + self.adversary.weight * verdict
            self.discriminators.requires_grad_(True)
            named |= {"fooling": fooled.detach(), "feature_matching": matched.detach()}
        named |= {"discriminators": told.detach()}
        self._step(own, self.logged(loss, drawn.named | named, batch, "train"))

    def _step(self, optimiser, loss: Float[Tensor, ""]):
        optimiser.zero_grad()
        self.manual_backward(loss)
        self.clip_gradients(optimiser, self.params.gradient_clip, "norm")
        optimiser.step()
