"""Inception over films: the trunk that I3D and S3D share, with whole or separable 3D kernels."""

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.convolutions import activation_layer
from subtr.encoders.video_convolutions import PictureVector, VideoConvolution, halved, video_norm
from subtr.params import SettingsError

# Features of each block's branches: 1 x 1; 1 x 1 then 3 x 3, twice; 1 x 1 after pooling.
# Szegedy et al. 2015 (GoogLeNet), table 1. A number is a pooling over so many pixels and frames.
BLOCKS = (
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    3,
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    2,
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
)


class VideoPooling(nn.Module):
    """The largest value over frames and pixels; nothing beyond the borders is one.

    Arguments
        kernel_frames, kernel_pixels: over how many, the latter in both directions.
        stride, stride_pixels: frames and pixels for each of the result; pixels are rounded up.
    """

    def __init__(self, kernel_frames: int, kernel_pixels: int, stride: int, stride_pixels: int):
        super().__init__()
        self.stride, self.reach = stride, kernel_frames - 1
        added = kernel_frames - stride
        self.padding = ((added + 1) // 2, added // 2)
        self.kernel_pixels = kernel_pixels
        self.pool = nn.MaxPool3d(
            (kernel_frames, kernel_pixels, kernel_pixels), (stride, stride_pixels, stride_pixels)
        )

    def forward(self, film: Tensor) -> Tensor:
        before = (self.kernel_pixels - 1) // 2
        around = (before, self.kernel_pixels - 1 - before)
        return self.pool(F.pad(film, (*around, *around, *self.padding), value=-math.inf))


class Unit(nn.Module):
    """A convolution without bias, with norm and activation, from ``dim`` to ``out_dim`` features.

    ``kernel`` is as long over frames as over pixels; ``separable`` makes it one over pixels and one
    over frames. ``stride`` and ``reach`` are over frames, ``stride_pixels`` over pixels.
    """

    def __init__(
        self, dim, out_dim, kernel, norm, activation, *, separable=False, stride=1, stride_pixels=1
    ):
        super().__init__()
        kernels = [(kernel, kernel, stride, stride_pixels)]
        if separable and kernel > 1:
            kernels = [(1, kernel, 1, stride_pixels), (kernel, 1, stride, 1)]
        layers = []
        for frames, pixels, by_frames, by_pixels in kernels:
            convolution = VideoConvolution(
                dim, out_dim, frames, pixels, stride=by_frames, stride_pixels=by_pixels, bias=False
            )
            layers += [convolution, video_norm(norm, out_dim), activation_layer(activation)]
            dim = out_dim
        self.layers = nn.Sequential(*layers)
        self.reach, self.stride = kernel - 1, stride

    def forward(self, film: Tensor) -> Tensor:
        return self.layers(film)


class InceptionBlock(nn.Module):
    """Four branches side by side: 1 x 1, two with a kernel of 3, and pooling.

    Source: Carreira and Zisserman 2017 (I3D), figure 3, "Inc."; the kernel of 5 is one of 3 there.
    """

    def __init__(self, dim, features, norm, activation, separable):
        super().__init__()
        one, before_a, a, before_b, b, pooled = features

        def unit(dim, out_dim, kernel=1):
            return Unit(dim, out_dim, kernel, norm, activation, separable=separable)

        self.branches = nn.ModuleList(
            [
                unit(dim, one),
                nn.Sequential(unit(dim, before_a), unit(before_a, a, 3)),
                nn.Sequential(unit(dim, before_b), unit(before_b, b, 3)),
                nn.Sequential(VideoPooling(3, 3, 1, 1), unit(dim, pooled)),
            ]
        )
        self.out_dim, self.reach, self.stride = one + a + b + pooled, 2, 1

    def forward(self, film: Tensor) -> Tensor:
        return torch.cat([branch(film) for branch in self.branches], dim=1)


class InceptionEncoder(nn.Module):
    """Inception-v1 over frames and pixels, then one vector a frame that is left.

    Arguments
        height, width: pixels of a picture; 32 x 32 of them become one.
        time_strides: frames made one of by the first convolution, and by the third and the fourth
            pooling. The papers have 2, 2, 2, so that one latent stands for 8 frames; none given is
            1, 1, 1.
        slimming: by how much features of every layer are divided; the papers have 1.
        hidden_dim: features of a latent; 0 leaves out the linear map.
        space: "map", a linear map of all pixels that are left, or "mean" over them first as in
            the papers.
        norm: "layer" (each frame on its own), "batch" as in the papers, or "none".
        activation: "gelu", or "relu" as in the papers.

    Raises
        SettingsError: strides longer than the kernels; or, when it is applied, frames that are no
            multiple of the strides.
    """

    separable = False

    def __init__(
        self,
        height: int,
        width: int,
        *,
        time_strides: Annotated[
            tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(max_length=3)
        ] = (),
        slimming: Literal[1, 2, 4, 8] = 4,
        hidden_dim: Annotated[int, Field(ge=0, le=8192)] = 128,
        space: Literal["map", "mean"] = "map",
        norm: Literal["layer", "batch", "none"] = "layer",
        activation: Literal["relu", "gelu"] = "gelu",
    ):
        super().__init__()
        strides = tuple(time_strides) or (1, 1, 1)
        if len(strides) != 3 or strides[1] > 3 or strides[2] > 2:
            raise SettingsError(
                f"time_strides = {strides}: expected 3 numbers, at most 7, 3 and 2, or none for 1."
            )
        options = {"separable": self.separable}
        first, second = 64 // slimming, 192 // slimming
        layers: list[nn.Module] = [
            Unit(3, first, 7, norm, activation, stride=strides[0], stride_pixels=2, **options),
            VideoPooling(1, 3, 1, 2),
            Unit(first, first, 1, norm, activation, **options),
            Unit(first, second, 3, norm, activation, **options),
            VideoPooling(1, 3, 1, 2),
        ]
        dim, later = second, iter(strides[1:])
        for features in BLOCKS:
            if isinstance(features, int):
                layers.append(VideoPooling(features, features, next(later), 2))
                continue
            slim = [number // slimming for number in features]
            layers.append(InceptionBlock(dim, slim, norm, activation, self.separable))
            dim = layers[-1].out_dim
        self.blocks = nn.Sequential(*layers)
        self.time_strides = strides
        self.vector = PictureVector(dim, halved(height, 5), halved(width, 5), hidden_dim, space)
        self.level_dims = [self.vector.out_dim]

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Latents per second."""
        return [input_frame_hz / math.prod(self.time_strides)]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Seconds of input that a latent sees, along the widest branches."""
        seen, hop = 1, 1
        for layer in self.blocks:
            seen, hop = seen + layer.reach * hop, hop * layer.stride
        return [seen / input_frame_hz]

    def forward(
        self, pictures: Float[Tensor, "batch frame rgb height width"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        return [self.vector(self.blocks(rearrange(pictures, "b t c h w -> b c t h w")))]
