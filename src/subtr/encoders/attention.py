"""Attention over frames: transformer, convolutional transformer and linear attention."""

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.convolutional import (
    Activation,
    Encoder,
    FrameConvolution,
    FrameNorm,
    Levels,
    Window,
    activation_layer,
    receptive_frames,
)
from subtr.params import Depth, Dim, Fraction, Number, SettingsError, WideDim


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
        queries, keys, values = self.heads(frames)
        dropout = self.dropout if self.training else 0.0
        heads = F.scaled_dot_product_attention(
            queries, keys, values, dropout_p=dropout, is_causal=self.causal
        )
        if self.distances is not None:
            heads = heads + self._by_distance(values)
        return self.output(rearrange(heads, "b h t d -> b t (h d)"))

    def heads(self, frames: Float[Tensor, "batch frame dim"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (batch, head, frame, dim), turned if rotary."""
        queries, keys, values = rearrange(
            self.queries_keys_values(frames), "b t (qkv h d) -> qkv b h t d", qkv=3, h=self.n_heads
        )
        if self.rotary:
            queries, keys = rotated(queries), rotated(keys)
        return queries, keys, values

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
    attentions: list[nn.Module], dim: int, feedforward_dim: int, *, pre_norm: bool = True, **options
) -> nn.Sequential:
    """A `TransformerBlock` around each attention; with ``pre_norm`` a layer norm at the end."""
    options["pre_norm"] = pre_norm
    blocks = [TransformerBlock(one, dim, feedforward_dim, **options) for one in attentions]
    return nn.Sequential(*blocks, *([nn.LayerNorm(dim)] if pre_norm else []))


class _AttentionEncoder(Encoder):
    """A linear map of each frame, ``positions``, then a block around each attention over frames."""

    level_fields = (math.inf,)

    def __init__(
        self,
        in_dim: int,
        hidden_dim: int,
        attention: Callable[[], nn.Module],
        depth: int,
        feedforward_dim: int,
        positions: str,
        **options,
    ):
        super().__init__()
        self.positions, self.level_dims = positions, [hidden_dim]
        self.input = nn.Linear(in_dim, hidden_dim)
        attentions = [attention() for _ in range(depth)]
        self.blocks = transformer_blocks(attentions, hidden_dim, feedforward_dim, **options)

    def forward(self, frames: Window) -> Levels:
        latents = self.input(frames)
        if self.positions == "absolute":
            latents = latents + sinusoids(latents.shape[1], latents)
        return [self.blocks(latents)]


class TransformerEncoder(_AttentionEncoder):
    """A linear map of each frame, then blocks of softmax attention over the frames of the window.

    Arguments
        in_dim: features of a frame.
        hidden_dim: features of a frame of the result; the report has 512.
        n_heads: attentions side by side in a block; the report has 8.
        depth: blocks; the report has 4.
        feedforward_dim: features between the two maps of a block; the report has 2048.
        positions: what tells frames apart by their number in the window: "absolute", sines and
            cosines added to the features; "rotary", queries and keys turned, so that attention
            depends on how far apart frames are; "none" leaves it to `subtr.encoders.positions`,
            which gives seconds.
        pre_norm: layer norm before attention and maps, and at the end; otherwise after each sum, as
            in the report.
        activation: "gelu", or "relu" as in the report.
        causal: a frame sees nothing that comes after it.
        dropout: fraction of features and attention weights dropped in training.

    Raises
        SettingsError: the features do not divide among the heads.

    Source: sections 1.2 and 6.4 of the report; Vaswani et al. 2017. Its aggregation is an
    aggregator's work here.
    """

    def __init__(
        self,
        in_dim: int,
        *,
        hidden_dim: Dim = 64,
        n_heads: Number = 4,
        depth: Depth = 2,
        feedforward_dim: WideDim = 256,
        positions: Literal["absolute", "rotary", "none"] = "absolute",
        pre_norm: bool = True,
        activation: Activation = "gelu",
        causal: bool = False,
        dropout: Fraction = 0.0,
    ):
        rotary = positions == "rotary"
        how = {"causal": causal, "rotary": rotary, "dropout": dropout}
        attention = partial(SoftmaxAttention, hidden_dim, n_heads, **how)
        block = {"pre_norm": pre_norm, "activation": activation, "dropout": dropout}
        super().__init__(in_dim, hidden_dim, attention, depth, feedforward_dim, positions, **block)
        self.causal = causal


Frames = Annotated[
    tuple[Annotated[int, Field(ge=1, le=512)], ...], Field(min_length=1, max_length=16)
]


class ConvTransformerEncoder(Encoder):
    """Strided convolutions, then a transformer whose positions come from a grouped convolution.

    Arguments
        in_dim: features of a frame; 1 for samples of sound.
        conv_dim: features of the strided convolutions; the paper has 512.
        kernel_frames, strides: of each convolution; the paper has (10, 3, 3, 3, 3, 2, 2) and
            (5, 2, 2, 2, 2, 2, 2) from samples at 16 kHz. Every ``prod(strides)`` frames give one of
            the result; the ends are padded, unlike the paper's.
        hidden_dim: features of the transformer and of the result; the paper has 768.
        n_heads, depth, feedforward_dim: heads, blocks and inner features of the transformer; the
            paper has 12, 12 and 3072.
        position_frames, position_groups: kernel and groups of the convolution that stands for
            relative positions; the paper has 128 and 16.
        pre_norm: layer norm before attention and maps, and at the end; otherwise after each sum.
        keep_convolutions: put what the strided convolutions give before the result, as a finer
            level.
        causal: a frame sees nothing after the frames that it stands for.
        dropout: fraction of features and attention weights dropped in training.

    Raises
        SettingsError: kernels and strides do not fit each other, features do not divide among heads
            or groups; or, when it is applied, the frames are no multiple of the strides.

    Source: section 2.2 of the report; Baevski et al. 2020, section 2. Neither its quantiser nor its
    masking is here.
    """

    def __init__(
        self,
        in_dim: int,
        *,
        conv_dim: Dim = 64,
        kernel_frames: Frames = (4, 4),
        strides: Frames = (2, 2),
        hidden_dim: Dim = 64,
        n_heads: Number = 4,
        depth: Depth = 2,
        feedforward_dim: WideDim = 256,
        position_frames: Annotated[int, Field(ge=1, le=512)] = 16,
        position_groups: Annotated[int, Field(ge=1, le=512)] = 4,
        pre_norm: bool = True,
        keep_convolutions: bool = False,
        causal: bool = False,
        dropout: Fraction = 0.0,
    ):
        super().__init__()
        if len(kernel_frames) != len(strides):
            raise SettingsError(
                f"strides = {tuple(strides)}: expected {len(kernel_frames)} numbers, one for each "
                f"of kernel_frames, {tuple(kernel_frames)}."
            )
        if hidden_dim % position_groups:
            raise SettingsError(
                f"position_groups = {position_groups}: {hidden_dim} features do not divide among "
                "them."
            )
        self.causal, self.keep_convolutions = causal, keep_convolutions
        dims = [in_dim] + [conv_dim] * (len(strides) - 1)
        self.convolutions = nn.ModuleList(
            FrameConvolution(dim, conv_dim, kernel, stride=stride, causal=causal)
            for dim, kernel, stride in zip(dims, kernel_frames, strides, strict=True)
        )
        self.conv_norms = nn.ModuleList(FrameNorm(conv_dim) for _ in strides)
        self.input = nn.Sequential(nn.LayerNorm(conv_dim), nn.Linear(conv_dim, hidden_dim))
        self.position = FrameConvolution(
            hidden_dim, hidden_dim, position_frames, causal=causal, groups=position_groups
        )
        # With norms before each sum, the first block begins with one.
        self.position_norm = nn.Identity() if pre_norm else nn.LayerNorm(hidden_dim)
        how = {"causal": causal, "dropout": dropout}
        attentions = [SoftmaxAttention(hidden_dim, n_heads, **how) for _ in range(depth)]
        block = {"pre_norm": pre_norm, "dropout": dropout}
        self.blocks = transformer_blocks(attentions, hidden_dim, feedforward_dim, **block)
        kept = slice(None) if keep_convolutions else slice(1, None)
        self.level_dims = [conv_dim, hidden_dim][kept]
        self.level_strides = [math.prod(strides)] * len(self.level_dims)
        self.level_fields = [receptive_frames(self.convolutions), math.inf][kept]

    def forward(self, frames: Window) -> Levels:
        local = rearrange(frames, "b t c -> b c t")
        for convolution, norm in zip(self.convolutions, self.conv_norms, strict=True):
            local = F.gelu(norm(convolution(local)))
        local = rearrange(local, "b c t -> b t c")
        latents = self.input(local)
        position = F.gelu(self.position(rearrange(latents, "b t c -> b c t")))
        latents = self.position_norm(latents + rearrange(position, "b c t -> b t c"))
        latents = self.blocks(latents)
        return [local, latents] if self.keep_convolutions else [latents]


def decayed_sums(
    queries: Float[Tensor, "batch head frame key"],
    keys: Float[Tensor, "batch head frame key"],
    values: Float[Tensor, "batch head frame value"],
    log_gates: Float[Tensor, "batch head frame key"] | None = None,
    chunk_frames: int = 16,
) -> Float[Tensor, "batch head frame value"]:
    """Each query times a state that every frame adds its key and value to, and its gate shrinks.

    state_t = exp(log_gates_t) * state_(t-1) + keys_t values_t^T; without gates nothing shrinks.
    Frames are taken ``chunk_frames`` at a time: all of a chunk at once, the state from one to the
    next. Every exponent is at most 0, so nothing overflows however strong the gates.

    Source: Katharopoulos et al. 2020, section 3.3, causal; Yang et al. 2023, section 4.
    """
    state = values.new_zeros(*keys.shape[:2], keys.shape[-1], values.shape[-1])
    parts = [queries, keys, values, torch.zeros_like(keys) if log_gates is None else log_gates]
    sums = []
    for query, key, value, log_gate in zip(
        *(part.split(chunk_frames, dim=2) for part in parts), strict=True
    ):
        kept = log_gate.cumsum(dim=2)
        n_frames = query.shape[2]
        later = torch.ones(n_frames, n_frames, dtype=torch.bool, device=query.device).triu(1)
        if log_gates is None:
            scores = (query @ key.mT).masked_fill(later, 0.0)
        else:
            decay = kept[:, :, :, None] - kept[:, :, None]
            decay = decay.masked_fill(later[..., None], -math.inf).exp()
            scores = torch.einsum("b h i k, b h j k, b h i j k -> b h i j", query, key, decay)
        sums.append((query * kept.exp()) @ state + scores @ value)
        left = kept[:, :, -1:]
        state = left.exp().mT * state + (key * (left - kept).exp()).mT @ value
    return torch.cat(sums, dim=2)


class LinearAttention(nn.Module):
    """Attention with elu(x) + 1 in place of the softmax.

    Arguments
        dim: features of a frame, a multiple of ``n_heads``.
        n_heads: attentions side by side.
        causal: a frame attends to itself and to those before it.

    Source: Katharopoulos et al. 2020 (arXiv 2006.16236), sections 3.2 and 3.3.
    """

    def __init__(self, dim: int, n_heads: int, *, causal: bool = False):
        super().__init__()
        check_heads(dim, n_heads)
        self.n_heads, self.causal = n_heads, causal
        self.queries_keys_values = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, frames: Float[Tensor, "batch frame dim"]) -> Float[Tensor, "batch frame dim"]:
        queries, keys, values = rearrange(
            self.queries_keys_values(frames), "b t (qkv h d) -> qkv b h t d", qkv=3, h=self.n_heads
        )
        queries, keys = F.elu(queries) + 1, F.elu(keys) + 1
        # A value of one sums the weights, which the sum of values is divided by.
        values = F.pad(values, (0, 1), value=1.0)
        state = None if self.causal else keys.mT @ values
        sums = decayed_sums(queries, keys, values) if self.causal else queries @ state
        heads = sums[..., :-1] / sums[..., -1:]
        return self.output(rearrange(heads, "b h t d -> b t (h d)"))


class GatedLinearAttention(nn.Module):
    """Linear attention whose memory of past frames fades, as each frame's features decide.

    Arguments
        dim: features of a frame, a multiple of twice ``n_heads``; keys have half as many.
        n_heads: attentions side by side.
        causal: a frame attends to itself and to those before it, as in the paper. Otherwise a
            second memory goes backwards in time with gates of its own and is added; that is ours.

    Source: Yang et al. 2023 (arXiv 2312.06635), section 4.4.
    """

    gate_dim, gate_root = 16, 16.0

    def __init__(self, dim: int, n_heads: int, *, causal: bool = True):
        super().__init__()
        check_heads(dim, n_heads, even=True)
        self.n_heads = n_heads
        n_directions = 1 if causal else 2
        self.queries, self.keys = (nn.Linear(dim, dim // 2, bias=False) for _ in range(2))
        self.values = nn.Linear(dim, dim, bias=False)
        self.gates = nn.ModuleList(
            nn.Sequential(
                nn.Linear(dim, self.gate_dim, bias=False), nn.Linear(self.gate_dim, dim // 2)
            )
            for _ in range(n_directions)
        )
        self.norm = nn.LayerNorm(dim // n_heads)
        self.output_gate = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, dim, bias=False)

    def forward(self, frames: Float[Tensor, "batch frame dim"]) -> Float[Tensor, "batch frame dim"]:
        queries, keys, values = map(
            self._heads, (self.queries(frames), self.keys(frames), self.values(frames))
        )
        queries = queries * queries.shape[-1] ** -0.5
        sums = torch.zeros_like(values)
        for direction, gate in enumerate(self.gates):
            # The root keeps gates near 1, so that memory fades slowly.
            log_gates = F.logsigmoid(self._heads(gate(frames))) / self.gate_root
            parts = [queries, keys, values, log_gates]
            if direction:
                sums = sums + decayed_sums(*(part.flip(2) for part in parts)).flip(2)
            else:
                sums = sums + decayed_sums(*parts)
        heads = rearrange(self.norm(sums), "b h t d -> b t (h d)")
        return self.output(F.silu(self.output_gate(frames)) * heads)

    def _heads(self, features: Tensor) -> Tensor:
        return rearrange(features, "b t (h d) -> b h t d", h=self.n_heads)


class LinearAttentionEncoder(_AttentionEncoder):
    """A linear map of each frame, then transformer blocks with linear attention.

    Arguments
        in_dim: features of a frame.
        kind: "elu", plain linear attention, or "gated", whose memory fades.
        hidden_dim: features of a frame of the result.
        n_heads: attentions side by side in a block.
        depth: blocks.
        feedforward_dim: features between the two maps of a block.
        positions: "absolute" adds sines and cosines of the frame's number in the window; "none"
            leaves plain linear attention blind to order unless it is causal.
        causal: a frame sees nothing that comes after it.
        dropout: fraction of features dropped in training.

    Raises
        SettingsError: the features do not divide among the heads.

    Source: section 5.2 of the report. Multiplications are saved only where a window has more frames
    than a head has features.
    """

    def __init__(
        self,
        in_dim: int,
        *,
        kind: Literal["elu", "gated"] = "elu",
        hidden_dim: Dim = 64,
        n_heads: Number = 4,
        depth: Depth = 2,
        feedforward_dim: WideDim = 256,
        positions: Literal["absolute", "none"] = "absolute",
        causal: bool = False,
        dropout: Fraction = 0.0,
    ):
        made = GatedLinearAttention if kind == "gated" else LinearAttention
        attention = partial(made, hidden_dim, n_heads, causal=causal)
        block = {"dropout": dropout}
        super().__init__(in_dim, hidden_dim, attention, depth, feedforward_dim, positions, **block)
        self.causal = causal


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
    queries, keys, _ = layer.heads(frames)
    scores = queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5
    if layer.causal:
        later = torch.ones_like(scores, dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -torch.inf)
    return scores.softmax(dim=-1)
