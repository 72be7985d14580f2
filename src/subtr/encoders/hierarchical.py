"""Hierarchy of time scales: frames, spans of frames, and the TR, each made from the finer one."""

import math
from typing import Annotated, Literal

from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.convolutions import (
    FrameConvolution,
    activation_layer,
    norm_layer,
    receptive_frames,
)
from subtr.params import SettingsError


class HierarchicalEncoder(nn.Module):
    """Levels that are each a convolution of learned sums over spans of the level before.

    A level after the first takes ``pool_frames`` frames at a time of the finer one, without
    overlap, by a convolution; then each level has a convolution, norm and activation. That of the
    coarsest sees one frame at a time. The levels are not fused here: the aggregator "mean" does
    what the report's fusion does, with the same parameters.

    Arguments
        in_dim: features of a frame.
        dims: features of each level, fine first; the report has 256, 512, 512.
        pool_frames: frames of a level that make one of the next. With 64 frames a TR, 8 and 8 give
            one frame a TR at the coarsest of three levels.
        kernel_frames: length of the convolutions of all levels but the coarsest.
        norm: "layer" (each frame on its own), "group" (each window on its own, so that every frame
            sees all), "batch" as in the report (statistics cross windows), or "none".
        activation: "gelu", or "relu" as in the report.
        causal: a frame sees nothing after the span that it stands for.

    Raises
        SettingsError: levels and spans do not fit each other; or, when it is applied, the frames
            are no multiple of the spans.

    Source: sections 1.4 and 6.2 of the report.
    """

    def __init__(
        self,
        in_dim: int,
        *,
        dims: Annotated[
            tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(min_length=2, max_length=8)
        ] = (32, 64, 64),
        pool_frames: Annotated[
            tuple[Annotated[int, Field(ge=2, le=512)], ...], Field(min_length=1, max_length=7)
        ] = (8, 8),
        kernel_frames: Annotated[int, Field(ge=1, le=511)] = 3,
        norm: Literal["layer", "group", "batch", "none"] = "layer",
        activation: Literal["relu", "gelu"] = "gelu",
        causal: bool = False,
    ):
        super().__init__()
        if len(pool_frames) != len(dims) - 1:
            raise SettingsError(
                f"pool_frames = {tuple(pool_frames)}: expected {len(dims) - 1} numbers, one "
                f"between each two of the {len(dims)} levels in dims."
            )
        self.causal, self.level_dims, self.pool_frames = causal, list(dims), tuple(pool_frames)
        self._sees_window = norm == "group"
        self.poolings = nn.ModuleList(
            FrameConvolution(dim, dim, span, stride=span, causal=causal)
            for dim, span in zip(dims, pool_frames, strict=False)
        )
        self.convolutions = nn.ModuleList()
        for level, (before, after) in enumerate(zip([in_dim, *dims], dims, strict=False)):
            kernel = 1 if level == len(dims) - 1 else kernel_frames
            self.convolutions.append(FrameConvolution(before, after, kernel, causal=causal))
        self.ends = nn.ModuleList(
            nn.Sequential(norm_layer(norm, dim), activation_layer(activation)) for dim in dims
        )

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Frames per second of each level."""
        spans = [math.prod(self.pool_frames[:level]) for level in range(len(self.level_dims))]
        return [input_frame_hz / span for span in spans]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Seconds of input that a frame of each level sees, summed over the layers."""
        if self._sees_window:
            return [math.inf] * len(self.level_dims)
        layers, fields = [], []
        for level, convolution in enumerate(self.convolutions):
            layers += [*self.poolings[level - 1 : level], convolution]
            fields.append(receptive_frames(layers) / input_frame_hz)
        return fields

    def forward(
        self, frames: Float[Tensor, "batch frame feature"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        latents, levels = rearrange(frames, "b t c -> b c t"), []
        for level, (convolution, end) in enumerate(zip(self.convolutions, self.ends, strict=True)):
            if level:
                latents = self.poolings[level - 1](latents)
            latents = end(convolution(latents))
            levels.append(rearrange(latents, "b c t -> b t c"))
        return levels
