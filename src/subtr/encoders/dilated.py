"""Dilated convolutions: the time seen doubles with every layer. WaveNet and TCN."""

from typing import Annotated, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.convolutions import FrameConvolution, receptive_frames


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

    def convolutions(self) -> list[FrameConvolution]:
        """Those that see more than a frame, in order."""
        return [layer.convolution for layer in self.layers]

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
        self,
        in_dim: int,
        dim: int,
        kernel_frames: int,
        dilation: int,
        causal: bool,
        dropout: float,
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


class DilatedEncoder(nn.Module):
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
        hidden_dim: Annotated[int, Field(ge=1, le=8192)] = 64,
        kernel_frames: Annotated[int, Field(ge=2, le=511)] = 2,
        depth: Annotated[int, Field(ge=1, le=16)] = 5,
        stacks: Annotated[int, Field(ge=1, le=16)] = 1,
        causal: bool = True,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ):
        super().__init__()
        self.causal, self.level_dims = causal, [hidden_dim]
        dilations = [2**layer for layer in range(depth)] * stacks
        if kind == "wavenet":
            self.stack = WaveNetStack(in_dim, hidden_dim, kernel_frames, dilations, causal)
            self._convolutions = self.stack.convolutions()
        else:
            dims = [in_dim] + [hidden_dim] * (len(dilations) - 1)
            self.stack = nn.Sequential(
                *(
                    TcnBlock(dim, hidden_dim, kernel_frames, dilation, causal, dropout)
                    for dim, dilation in zip(dims, dilations, strict=True)
                )
            )
            self._convolutions = [c for block in self.stack for c in (block.first, block.second)]

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Frames per second of each level."""
        return [input_frame_hz]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Seconds of input that a frame of each level sees, summed over the layers."""
        return [receptive_frames(self._convolutions) / input_frame_hz]

    def forward(
        self, frames: Float[Tensor, "batch frame feature"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        return [rearrange(self.stack(rearrange(frames, "b t c -> b c t")), "b c t -> b t c")]
