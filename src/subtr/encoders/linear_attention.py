"""Attention whose cost grows with the number of frames, not with its square."""

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.attention import check_heads, sinusoids, transformer_blocks


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


def _sums(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Each query times one state of all frames."""
    return queries @ (keys.mT @ values)


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
        over = decayed_sums if self.causal else _sums
        sums = over(queries, keys, values)
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


class LinearAttentionEncoder(nn.Module):
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
        hidden_dim: Annotated[int, Field(ge=1, le=8192)] = 64,
        n_heads: Annotated[int, Field(ge=1, le=256)] = 4,
        depth: Annotated[int, Field(ge=1, le=64)] = 2,
        feedforward_dim: Annotated[int, Field(ge=1, le=65536)] = 256,
        positions: Literal["absolute", "none"] = "absolute",
        causal: bool = False,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ):
        super().__init__()
        self.causal, self.positions, self.level_dims = causal, positions, [hidden_dim]
        self.input = nn.Linear(in_dim, hidden_dim)
        attention = GatedLinearAttention if kind == "gated" else LinearAttention
        self.blocks = transformer_blocks(
            [attention(hidden_dim, n_heads, causal=causal) for _ in range(depth)],
            hidden_dim,
            feedforward_dim,
            pre_norm=True,
            activation="gelu",
            dropout=dropout,
        )

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Frames per second of each level."""
        return [input_frame_hz]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Infinite: all of the window, whatever its length; up to the frame itself if causal."""
        return [math.inf]

    def forward(
        self, frames: Float[Tensor, "batch frame feature"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        latents = self.input(frames)
        if self.positions == "absolute":
            latents = latents + sinusoids(latents.shape[1], latents)
        return [self.blocks(latents)]
