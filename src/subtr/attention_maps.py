"""What the frames of a window attend to."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from subtr.encoders.attention import SoftmaxAttention, rotated
from subtr.params import SettingsError


@torch.no_grad()
def attention_maps(
    network: nn.Module, *given: Tensor | float
) -> list[Float[Tensor, "batch head query key"]]:
    """What each frame attends to, in every softmax attention over frames of a network, in order.

    Weights of a query sum to 1 over its keys.

    Arguments
        network: an encoder, or a stream or predictor that has one.
        given: what the network is called with; of an encoder, frames (batch, frame, feature).

    Raises
        SettingsError: the network has no such attention.

    Source: Vaswani et al. 2017, equation 1.
    """
    layers = [part for part in network.modules() if isinstance(part, SoftmaxAttention)]
    if not layers:
        raise SettingsError(
            f"{type(network).__name__} has no attention over frames; expected an encoder such as "
            "transformer or conv_transformer."
        )
    maps: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda layer, given: maps.append(_weights(layer, given[0])))
        for layer in layers
    ]
    try:
        network(*given)
    finally:
        for hook in hooks:
            hook.remove()
    return maps


def _weights(layer: SoftmaxAttention, frames: Tensor) -> Tensor:
    queries, keys, _ = layer.queries_keys_values(frames).chunk(3, dim=-1)
    queries, keys = (
        part.unflatten(-1, (layer.n_heads, -1)).transpose(1, 2) for part in (queries, keys)
    )
    if layer.rotary:
        queries, keys = rotated(queries), rotated(keys)
    scores = queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5
    if layer.causal:
        later = torch.ones_like(scores, dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    return scores.softmax(dim=-1)
