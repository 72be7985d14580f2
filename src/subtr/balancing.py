"""Losses weighted so that each pulls equally hard on the weights that they share, at the start."""

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from subtr.models.batches import Batch
from subtr.params import SettingsError

NamedLosses = Callable[[nn.Module, Batch], Mapping[str, Float[Tensor, ""]]]


def equal_gradient_weights(
    model: nn.Module,
    batch: Batch,
    losses: NamedLosses,
    shared: Iterable[nn.Parameter] | None = None,
) -> dict[str, float]:
    """A weight for each loss that makes their weighted gradients equally long.

    The geometric mean of the weights is 1, so the learning rate keeps its meaning. The weights are
    found once, where the model stands, and stay. GradNorm (Chen et al. 2018, arXiv:1711.02257,
    equations 1 and 2) starts from the same condition, then goes on to learn the weights at every
    step, so that all losses fall at one rate, from the gradients of the last shared layer alone.

    The model is left as it is: weights, gradients, running statistics and random state.

    Arguments
        losses: (model, batch) -> value by name, as they are to be weighted.
        shared: parameters that the losses compete for; if none are given, those that every loss
            reaches.

    Raises
        SettingsError: a loss has no gradient, or one that is not finite; no parameter is shared.

    A loss that starts near its minimum, as that of an autoencoder that starts at PCA, has hardly a
    gradient and gets a weight as large as that is small: balance before such a start.
    """
    norms = gradient_norms(model, batch, losses, shared)
    mean_log = sum(map(math.log, norms.values())) / len(norms)
    return {name: math.exp(mean_log - math.log(norm)) for name, norm in norms.items()}


def gradient_norms(
    model: nn.Module,
    batch: Batch,
    losses: NamedLosses,
    shared: Iterable[nn.Parameter] | None = None,
) -> dict[str, float]:
    """Euclidean length of each loss's gradient on the shared parameters.

    Arguments and errors: see `equal_gradient_weights`.
    """
    parameters = [one for one in model.parameters() if one.requires_grad]
    if shared is not None:
        parameters = list(shared)
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    devices = {one.device for one in parameters if one.is_cuda}
    try:
        with torch.random.fork_rng(devices=list(devices)), torch.enable_grad():
            gradients = {
                name: _gradient(name, value, parameters)
                for name, value in losses(model, batch).items()
            }
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
    if not gradients:
        raise SettingsError("no losses to balance: name at least one.")
    common = range(len(parameters))
    if shared is None:
        common = [
            index for index in common if all(of[index] is not None for of in gradients.values())
        ]
        if not common:
            raise SettingsError(
                f"the losses {', '.join(gradients)} share no parameter: nothing to balance; give "
                "weights by hand."
            )
    return {name: _length(name, [of[index] for index in common]) for name, of in gradients.items()}


def _gradient(name: str, loss: Tensor, parameters: list[nn.Parameter]) -> tuple[Tensor | None, ...]:
    if not loss.requires_grad:
        raise _without_gradient(name)
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    if all(of is None for of in found):
        raise _without_gradient(name)
    return found


def _length(name: str, gradient: list[Tensor | None]) -> float:
    length = nn.utils.get_total_norm(of for of in gradient if of is not None).item()
    if not math.isfinite(length):
        raise SettingsError(
            f"the loss {name!r} has a gradient of length {length}: expected a finite one; look for "
            "missing values in its target."
        )
    if length == 0:
        raise _without_gradient(name)
    return length


def _without_gradient(name: str) -> SettingsError:
    return SettingsError(
        f"the loss {name!r} has no gradient on the shared parameters: no weight can make it pull; "
        "leave it out, or let it depend on the model."
    )
