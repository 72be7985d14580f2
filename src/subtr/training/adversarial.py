"""Discriminators, and training against them."""

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from subtr.models.batches import Batch
from subtr.training.fit import Fitting, TrainingParams
from subtr.training.losses import Diagnostics, DiscriminatorParams

# Networks that tell real signals from made ones, and what both sides are then trained by.
#
# Kong, Kim and Bae 2020, HiFi-GAN (arXiv:2010.05646), sections 2.3 and 2.4. There the signal is a
# waveform of one channel; here it is any (batch, channel, time), such as a log-mel with its bands
# as channels.

_SLOPE = 0.1


class Verdict(NamedTuple):
    """How real a signal seems place by place (1 real, 0 made), and the features that say so."""

    score: Tensor
    features: list[Tensor]

    def halved(self) -> tuple["Verdict", "Verdict"]:
        """Those of the first half of a batch, and of the second."""
        scores = self.score.chunk(2)
        features = zip(*(feature.chunk(2) for feature in self.features), strict=True)
        return tuple(Verdict(*of) for of in zip(scores, map(list, features), strict=True))


class PeriodDiscriminator(nn.Module):
    """Sees every ``period``-th sample: the signal is folded, and no convolution crosses columns.

    Arguments
        channels: of the signal.
        period: samples from one to the next that is seen with it.
        params: widths, kernel and stride of the convolutions.
    """

    def __init__(self, channels: int, period: int, params: DiscriminatorParams):
        super().__init__()
        self.period = period
        self.layers = _layers(nn.Conv2d, channels, params, weight_norm)

    def forward(self, signal: Float[Tensor, "batch channel time"]) -> Verdict:
        # Zeros rather than a reflection, which a signal shorter than the period does not have.
        filled = F.pad(signal, (0, -signal.shape[-1] % self.period))
        return _verdict(self.layers, rearrange(filled, "b c (t p) -> b c t p", p=self.period))


class ScaleDiscriminator(nn.Module):
    """Sees the signal halved in rate ``n_halvings`` times, by averages.

    Arguments
        channels: of the signal.
        n_halvings: 0 for the signal as it is, whose weights are then spectrally normalised.
        params: widths, kernel and stride of the convolutions; none of them is grouped.
    """

    def __init__(self, channels: int, n_halvings: int, params: DiscriminatorParams):
        super().__init__()
        self.halve = nn.Sequential(*(nn.AvgPool1d(4, 2, padding=2) for _ in range(n_halvings)))
        norm = weight_norm if n_halvings else spectral_norm
        self.layers = _layers(nn.Conv1d, channels, params, norm)

    def forward(self, signal: Float[Tensor, "batch channel time"]) -> Verdict:
        return _verdict(self.layers, self.halve(signal))


class Discriminators(nn.ModuleList):
    """One a period, then one a scale.

    Arguments
        channels: of the signal.
        params: see `DiscriminatorParams`.
    """

    def __init__(self, channels: int, params: DiscriminatorParams):
        periods = [PeriodDiscriminator(channels, period, params) for period in params.periods]
        scales = [ScaleDiscriminator(channels, n, params) for n in range(params.n_scales)]
        super().__init__([*periods, *scales])

    def forward(self, signal: Float[Tensor, "batch channel time"]) -> list[Verdict]:
        return [one(signal) for one in self]

    def both(
        self, real: Float[Tensor, "batch channel time"], made: Float[Tensor, "batch channel time"]
    ) -> tuple[list[Verdict], list[Verdict]]:
        """The verdicts on real and on made signals, found in one pass."""
        cut = [one.halved() for one in self(torch.cat([real, made]))]
        return [first for first, _ in cut], [second for _, second in cut]


def discriminator_loss(
    real: list[Verdict], made: list[Verdict]
) -> tuple[Float[Tensor, ""], Diagnostics]:
    """Squared distance of real from 1 and of made from 0 (equation 1), summed (equation 8).

    Diagnostics: ``told_apart``, the share of pairs of places in which the real one scores higher
    than the made one's mean; half of them by chance.
    """
    value = sum((of.score - 1).square().mean() for of in real)
    value = value + sum(of.score.square().mean() for of in made)
    apart = [
        (one.score > other.score.mean()).float().mean()
        for one, other in zip(real, made, strict=True)
    ]
    return value, {"told_apart": torch.stack(apart).mean().detach()}


def generator_loss(made: list[Verdict]) -> Float[Tensor, ""]:
    """Squared distance of made from 1 (equation 2), summed (equation 7)."""
    return sum((of.score - 1).square().mean() for of in made)


def feature_matching_loss(real: list[Verdict], made: list[Verdict]) -> Float[Tensor, ""]:
    """Mean absolute difference of features of every layer, summed (equation 4)."""
    return sum(
        (one.detach() - other).abs().mean()
        for its, of in zip(real, made, strict=True)
        for one, other in zip(its.features, of.features, strict=True)
    )


def _layers(convolution, channels: int, params: DiscriminatorParams, norm) -> nn.ModuleList:
    """Strided convolutions in time, then one that gives the score."""
    beside = () if convolution is nn.Conv1d else (1,)
    none = () if convolution is nn.Conv1d else (0,)

    def layer(before: int, after: int, kernel: int, stride: int) -> nn.Module:
        padding = (kernel // 2, *none)
        sizes = (kernel, *beside), (stride, *beside)
        return norm(convolution(before, after, *sizes, padding=padding))

    widths = (channels, *params.widths)
    layers = [layer(a, b, params.kernel, params.stride) for a, b in pairwise(widths)]
    return nn.ModuleList([*layers, layer(widths[-1], 1, 3, 1)])


def _verdict(layers: nn.ModuleList, signal: Tensor) -> Verdict:
    *hidden, last = layers
    features = []
    for layer in hidden:
        signal = F.leaky_relu(layer(signal), _SLOPE)
        features.append(signal)
    return Verdict(last(signal).flatten(1), features)


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
            fooled, matched = generator_loss(made), feature_matching_loss(real, made)
            verdict = fooled + self.adversary.params.feature_matching * matched
            loss = loss + self.adversary.weight * verdict
            self.discriminators.requires_grad_(True)
            named |= {"generator": fooled.detach(), "feature_matching": matched.detach()}
        named |= {"discriminators": told.detach()}
        self._step(own, self.logged(loss, drawn.named | named, batch, "train"))

    def _step(self, optimiser, loss: Float[Tensor, ""]):
        optimiser.zero_grad()
        self.manual_backward(loss)
        self.clip_gradients(optimiser, self.params.gradient_clip, "norm")
        optimiser.step()
