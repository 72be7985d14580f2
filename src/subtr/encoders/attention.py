"""Attention over frames that encoders share, and the transformer block around it."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from subtr.encoders.convolutions import activation_layer
from subtr.params import SettingsError


def sinusoids(n_frames: int, like: Float[Tensor, "... dim"]) -> Float[Tensor, "frame dim"]:
    """Sines (even features) and cosines (odd features) of the frame's number.

    Source: Vaswani et al. 2017, section 3.5.
    """
    dim = like.shape[-1]
    angle = _angles(n_frames, dim + dim % 2, like)
    return rearrange([angle.sin(), angle.cos()], "two t d -> t (d two)")[:, :dim].to(like.dtype)


def rotated(heads: Float[Tensor, "batch head frame dim"]) -> Float[Tensor, "batch head frame dim"]:
    """Each pair of features turned by an angle that grows with the frame's number.

    The product of a turned query and a turned key depends on how far apart their frames are, not on
    where they stand.

    Source: Su et al. 2021 (RoFormer), equation 34.
    """
    angle = _angles(heads.shape[-2], heads.shape[-1], heads)
    sine, cosine = angle.sin().to(heads.dtype), angle.cos().to(heads.dtype)
    even, odd = heads[..., 0::2], heads[..., 1::2]
    turned = [even * cosine - odd * sine, even * sine + odd * cosine]
    return rearrange(turned, "two b h t d -> b h t (d two)")


def _angles(n_frames: int, dim: int, like: Tensor) -> Float[Tensor, "frame half"]:
    precision = torch.promote_types(like.dtype, torch.float32)
    frame = torch.arange(n_frames, device=like.device, dtype=precision)
    pair = torch.arange(0, dim, 2, device=like.device, dtype=precision)
    return frame[:, None] * torch.exp(-math.log(10_000) * pair / dim)


def check_heads(dim: int, n_heads: int, even: bool = False) -> None:
    """Raises SettingsError where the features do not divide among the heads, or among pairs."""
    if dim % (n_heads * (2 if even else 1)):
        pairs = ", in pairs to rotate" if even else ""
        raise SettingsError(f"n_heads = {n_heads}: {dim} features do not divide among them{pairs}.")


class SoftmaxAttention(nn.Module):
    """Multi-head self-attention over frames by PyTorch's fused kernels, Flash among them.

    Arguments
        dim: features of a frame, a multiple of ``n_heads``.
        n_heads: attentions side by side.
        causal: a frame attends to itself and to those before it.
        rotary: queries and keys are turned by their frame's number, see `rotated`.
        reach_frames: each head adds a learned weight of every distance up to so many frames after
            the softmax, where it is not levelled. They start at random, for at zero no direction
            of time is nearer than the other.
        dropout: fraction of attention weights dropped in training.

    Raises
        SettingsError: the features do not divide among the heads.

    Source: Vaswani et al. 2017, equation 1; Dao et al. 2022 for the kernel; Foumani et al. 2023
    (eRPE) for the weights of distances.
    """

    def __init__(
        self,
        dim: int,
        n_heads: int,
        *,
        causal: bool = False,
        rotary: bool = False,
        reach_frames: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        check_heads(dim, n_heads, even=rotary)
        self.n_heads, self.causal, self.rotary, self.dropout = n_heads, causal, rotary, dropout
        self.queries_keys_values = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)
        self.distances = None
        if reach_frames:
            n_distances = 2 * reach_frames + 1
            self.distances = nn.Parameter(torch.randn(n_heads, 1, n_distances) / n_distances**0.5)

    def forward(self, frames: Float[Tensor, "batch frame dim"]) -> Float[Tensor, "batch frame dim"]:
        queries, keys, values = rearrange(
            self.queries_keys_values(frames), "b t (qkv h d) -> qkv b h t d", qkv=3, h=self.n_heads
        )
        if self.rotary:
            queries, keys = rotated(queries), rotated(keys)
        dropout = self.dropout if self.training else 0.0
        heads = F.scaled_dot_product_attention(
            queries, keys, values, dropout_p=dropout, is_causal=self.causal
        )
        if self.distances is not None:
            heads = heads + self._by_distance(values)
        return self.output(rearrange(heads, "b h t d -> b t (h d)"))

    def _by_distance(self, values: Float[Tensor, "batch head frame dim"]) -> Tensor:
        """Each frame's sum over the others, weighted by how far away they are."""
        reach = self.distances.shape[-1] // 2
        weights = self.distances
        if self.causal:
            weights = weights * (torch.arange(2 * reach + 1, device=weights.device) <= reach)
        series = rearrange(values, "b h t d -> (b d) h t")
        summed = F.conv1d(series, weights, padding=reach, groups=self.n_heads)
        return rearrange(summed, "(b d) h t -> b h t d", b=len(values))


class TransformerBlock(nn.Module):
    """Attention, then two linear maps with an activation between, each added to what came in.

    Arguments
        attention: from (batch, frame, dim) to the same.
        dim: features of a frame.
        feedforward_dim: features between the two linear maps.
        pre_norm: layer norm before attention and maps (Xiong et al. 2020) instead of after what
            they add to (Vaswani et al. 2017).
        activation: "relu" or "gelu".
        dropout: fraction of features dropped where the papers drop them.
    """

    def __init__(
        self,
        attention: nn.Module,
        dim: int,
        feedforward_dim: int,
        *,
        pre_norm: bool = True,
        activation: str = "gelu",
        dropout: float = 0.0,
    ):
        super().__init__()
        self.attention, self.pre_norm = attention, pre_norm
        self.feedforward = nn.Sequential(
            nn.Linear(dim, feedforward_dim),
            activation_layer(activation),
            nn.Dropout(dropout),
            nn.Linear(feedforward_dim, dim),
        )
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames: Float[Tensor, "batch frame dim"]) -> Float[Tensor, "batch frame dim"]:
        for inner, norm in (
            (self.attention, self.attention_norm),
            (self.feedforward, self.feedforward_norm),
        ):
            if self.pre_norm:
                frames = frames + self.dropout(inner(norm(frames)))
            else:
                frames = norm(frames + self.dropout(inner(frames)))
        return frames


def transformer_blocks(
    attentions: list[nn.Module],
    dim: int,
    feedforward_dim: int,
    *,
    pre_norm: bool,
    activation: str,
    dropout: float,
) -> nn.Sequential:
    """A block around each attention; with ``pre_norm`` a layer norm at the end."""
    blocks: list[nn.Module] = [
        TransformerBlock(
            attention,
            dim,
            feedforward_dim,
            pre_norm=pre_norm,
            activation=activation,
            dropout=dropout,
        )
        for attention in attentions
    ]
    return nn.Sequential(*blocks, *([nn.LayerNorm(dim)] if pre_norm else []))
