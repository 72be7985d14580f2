"""Dilated convolutions: TCN, WaveNet and SA-MSTCN."""

import math
from typing import Annotated, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.attention import SoftmaxAttention
from subtr.encoders.convolutional import (
    Encoder,
    FrameConvolution,
    FrameNorm,
    Levels,
    Window,
    receptive_frames,
)
from subtr.params import Depth, Dim, Fraction, KernelFrames, NFrames, Number


class GatedLayer(nn.Module):
    """A WaveNet layer: tanh of a filter times sigmoid of a gate, to the next layer and to the skip.

    Arguments
        dim: features of a frame.
        kernel_frames, dilation, causal: see `FrameConvolution`.
        last: no layer follows, so that only the skip is made.

    Source: van den Oord et al. 2016, equation 2 and figure 4.
    """

    def __init__(self, dim: int, kernel_frames: int, dilation: int, causal: bool, last: bool):
        super().__init__()
        # Filter and gate are one convolution of twice the features.
        self.convolution = FrameConvolution(
            dim, 2 * dim, kernel_frames, dilation=dilation, causal=causal
        )
        self.skip = nn.Conv1d(dim, dim, 1)
        self.residual = None if last else nn.Conv1d(dim, dim, 1)

    def forward(
        self, frames: Float[Tensor, "batch dim frame"]
    ) -> tuple[Float[Tensor, "batch dim frame"], Float[Tensor, "batch dim frame"]]:
        kept, gate = self.convolution(frames).chunk(2, dim=1)
        gated = kept.tanh() * gate.sigmoid()
        following = frames if self.residual is None else frames + self.residual(gated)
        return following, self.skip(gated)


class WaveNetStack(nn.Module):
    """Gated layers whose skips are summed, then two linear maps after rectifiers."""

    def __init__(
        self, in_dim: int, dim: int, kernel_frames: int, dilations: list[int], causal: bool
    ):
        super().__init__()
        self.input = nn.Conv1d(in_dim, dim, 1)
        last = len(dilations) - 1
        self.layers = nn.ModuleList(
            GatedLayer(dim, kernel_frames, dilation, causal, last=index == last)
            for index, dilation in enumerate(dilations)
        )
        self.output = nn.Sequential(
            nn.ReLU(), nn.Conv1d(dim, dim, 1), nn.ReLU(), nn.Conv1d(dim, dim, 1)
        )

    def forward(self, frames: Float[Tensor, "batch dim frame"]) -> Float[Tensor, "batch out frame"]:
        frames = self.input(frames)
        skips = torch.zeros_like(frames)
        for layer in self.layers:
            frames, skip = layer(frames)
            skips = skips + skip
        return self.output(skips)


class TcnBlock(nn.Module):
    """Two dilated convolutions with weight norm, rectifier and dropout, and the input added.

    Source: Bai et al. 2018, section 3.3 and figure 1b. Dropout takes whole features, as there.
    """

    def __init__(
        self, in_dim: int, dim: int, kernel_frames: int, dilation: int, causal: bool, dropout: float
    ):
        super().__init__()
        self.first, self.second = (
            FrameConvolution(
                size, dim, kernel_frames, dilation=dilation, causal=causal, weight_normed=True
            )
            for size in (in_dim, dim)
        )
        self.dropout = nn.Dropout1d(dropout)
        self.shortcut = nn.Identity() if in_dim == dim else nn.Conv1d(in_dim, dim, 1)

    def forward(self, frames: Float[Tensor, "batch dim frame"]) -> Float[Tensor, "batch out frame"]:
        inner = self.dropout(self.first(frames).relu())
        inner = self.dropout(self.second(inner).relu())
        return (inner + self.shortcut(frames)).relu()


class DilatedEncoder(Encoder):
    """A stack of convolutions whose dilations double: 1, 2, 4, and so on.

    Arguments
        in_dim: features of a frame.
        kind: "wavenet", gated layers with residual and skip connections, or "tcn", residual blocks
            of two convolutions.
        hidden_dim: features of every layer and of the result.
        kernel_frames: length of the kernels in frames.
        depth: layers, or blocks, from dilation 1 to 2 ** (depth - 1).
        stacks: how often these dilations are gone through.
        causal: a frame sees nothing that comes after it, as in both papers; otherwise as much after
            as before.
        dropout: fraction of features dropped in the blocks of a TCN; WaveNet has none.

    Source: section 1.1 of the report; van den Oord et al. 2016 (arXiv 1609.03499), without its
    sampling; Bai et al. 2018 (arXiv 1803.01271).
    """

    def __init__(
        self,
        in_dim: int,
        *,
        kind: Literal["wavenet", "tcn"] = "wavenet",
        hidden_dim: Dim = 64,
        kernel_frames: Annotated[int, Field(ge=2, le=511)] = 2,
        depth: Annotated[int, Field(ge=1, le=16)] = 5,
        stacks: Annotated[int, Field(ge=1, le=16)] = 1,
        causal: bool = True,
        dropout: Fraction = 0.0,
    ):
        super().__init__()
        self.causal, self.level_dims = causal, [hidden_dim]
        dilations = [2**layer for layer in range(depth)] * stacks
        if kind == "wavenet":
            self.stack = WaveNetStack(in_dim, hidden_dim, kernel_frames, dilations, causal)
            convolutions = [layer.convolution for layer in self.stack.layers]
        else:
            dims = [in_dim] + [hidden_dim] * (len(dilations) - 1)
            self.stack = nn.Sequential(
                *(
                    TcnBlock(dim, hidden_dim, kernel_frames, dilation, causal, dropout)
                    for dim, dilation in zip(dims, dilations, strict=True)
                )
            )
            convolutions = [c for block in self.stack for c in (block.first, block.second)]
        self.level_fields = [receptive_frames(convolutions)]

    def forward(self, frames: Window) -> Levels:
        return [rearrange(self.stack(rearrange(frames, "b t c -> b c t")), "b c t -> b t c")]


class DilatedScales(nn.Module):
    """Convolutions of several dilations side by side, fused, normed, activated and added.

    Arguments
        dim: features of a frame.
        kernel_frames, dilations, causal: see `FrameConvolution`, one for each dilation.
    """

    def __init__(self, dim: int, kernel_frames: int, dilations: tuple[int, ...], causal: bool):
        super().__init__()
        self.branches = nn.ModuleList(
            FrameConvolution(dim, dim, kernel_frames, dilation=dilation, causal=causal)
            for dilation in dilations
        )
        self.fusion = nn.Conv1d(dim * len(dilations), dim, 1)
        self.end = nn.Sequential(FrameNorm(dim), nn.GELU())

    def forward(self, frames: Float[Tensor, "batch dim frame"]) -> Float[Tensor, "batch dim frame"]:
        scales = torch.cat([branch(frames) for branch in self.branches], dim=1)
        return frames + self.end(self.fusion(scales))


class TimeAttention(nn.Module):
    """Softmax self-attention over the frames of the window, added to what came in."""

    def __init__(self, dim: int, n_heads: int, causal: bool):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = SoftmaxAttention(dim, n_heads, causal=causal)

    def forward(
        self, latents: Float[Tensor, "batch dim frame"], frames: Float[Tensor, "batch input frame"]
    ) -> Float[Tensor, "batch dim frame"]:
        attended = self.attention(self.norm(rearrange(latents, "b c t -> b t c")))
        return latents + rearrange(attended, "b t c -> b c t")


class ChannelAttention(nn.Module):
    """A gate for each feature, from the mean of all features over the frames (so far, if causal).

    Source: Hu et al. 2018 (squeeze and excitation), equations 2 to 4, with a smooth activation
    where a few rectifiers could all fall silent.
    """

    def __init__(self, dim: int, causal: bool):
        super().__init__()
        self.causal = causal
        self.gate = nn.Sequential(
            nn.Linear(dim, max(dim // 4, 1)), nn.GELU(), nn.Linear(max(dim // 4, 1), dim)
        )

    def forward(
        self, latents: Float[Tensor, "batch dim frame"], frames: Float[Tensor, "batch input frame"]
    ) -> Float[Tensor, "batch dim frame"]:
        if self.causal:
            so_far = torch.arange(1, latents.shape[-1] + 1, device=latents.device)
            mean = latents.cumsum(dim=-1) / so_far
        else:
            mean = latents.mean(dim=-1, keepdim=True)
        gate = self.gate(rearrange(mean, "b c t -> b t c")).sigmoid()
        return latents * rearrange(gate, "b t c -> b c t")


class EstimateAttention(nn.Module):
    """Gates from an estimate of the input: what is added to it decides what the latents keep.

    Source: the attention module of Zamir et al. 2021 (MPRNet), figure 4, over time and without
    supervision of the estimate.
    """

    def __init__(self, in_dim: int, dim: int):
        super().__init__()
        self.estimate, self.gate = nn.Conv1d(dim, in_dim, 1), nn.Conv1d(in_dim, dim, 1)
        self.kept = nn.Conv1d(dim, dim, 1)

    def forward(
        self, latents: Float[Tensor, "batch dim frame"], frames: Float[Tensor, "batch input frame"]
    ) -> Float[Tensor, "batch dim frame"]:
        estimate = frames + self.estimate(latents)
        return latents + self.kept(latents) * self.gate(estimate).sigmoid()


class AttentiveDilatedEncoder(Encoder):
    """Blocks of multi-scale dilated convolution, each followed by attention.

    Arguments
        in_dim: features of a frame.
        attention: "time", every frame attends to every other; "channel", gates on features;
            "estimate", gates from an estimate of the input; or "none".
        hidden_dim: features of every block and of the result.
        kernel_frames: length of the kernels in frames.
        dilations: of the convolutions side by side in a block.
        depth: blocks.
        n_heads: attentions side by side, for "time".
        causal: a frame sees nothing that comes after it, as in the paper; otherwise as much after
            as before.

    Raises
        SettingsError: the features do not divide among the heads.

    Source: section 1.1 of the report, which names SA-MSTCN: Zhang et al. 2024, "Supervised
    Attention Multi-Scale Temporal Convolutional Network for monaural speech enhancement", EURASIP
    Journal on Audio, Speech, and Music Processing. From the paper are the idea, causal multi-scale
    dilated convolutions each guided by light attention. Its code is not public and its target,
    clean speech, does not exist here, so that sizes, fusion, norms and the choice of attentions are
    ours, and nothing supervises the attention but the loss of the whole model.
    """

    def __init__(
        self,
        in_dim: int,
        *,
        attention: Literal["time", "channel", "estimate", "none"] = "time",
        hidden_dim: Dim = 64,
        kernel_frames: KernelFrames = 3,
        dilations: Annotated[tuple[NFrames, ...], Field(min_length=1, max_length=16)] = (
            1,
            2,
            4,
            8,
        ),
        depth: Depth = 2,
        n_heads: Number = 4,
        causal: bool = True,
    ):
        super().__init__()
        self.causal, self.level_dims = causal, [hidden_dim]
        self.input = nn.Conv1d(in_dim, hidden_dim, 1)
        self.scales = nn.ModuleList(
            DilatedScales(hidden_dim, kernel_frames, tuple(dilations), causal) for _ in range(depth)
        )
        makers = {
            "time": lambda: TimeAttention(hidden_dim, n_heads, causal),
            "channel": lambda: ChannelAttention(hidden_dim, causal),
            "estimate": lambda: EstimateAttention(in_dim, hidden_dim),
        }
        n_attentions = 0 if attention == "none" else depth
        self.attentions = nn.ModuleList(makers[attention]() for _ in range(n_attentions))
        reach = sum(max(branch.reach for branch in scales.branches) for scales in self.scales)
        self.level_fields = [math.inf if attention in ("time", "channel") else 1 + reach]

    def forward(self, frames: Window) -> Levels:
        frames = rearrange(frames, "b t c -> b c t")
        latents = self.input(frames)
        for index, scales in enumerate(self.scales):
            latents = scales(latents)
            if self.attentions:
                latents = self.attentions[index](latents, frames)
        return [rearrange(latents, "b c t -> b t c")]
