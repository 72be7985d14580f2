"""Inception networks over space and time: I3D and S3D."""

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.convolutional import (
    Activation,
    Encoder,
    Levels,
    Pictures,
    activation_layer,
    receptive_frames,
)
from subtr.encoders.video import (
    Frame2dEncoder,
    PictureNorm,
    PictureVector,
    Space,
    VideoConvolution,
    VideoNorm,
    differences,
    halved,
    video_norm,
)
from subtr.params import Depth, Dim, DimOrNone, Dims, SettingsError

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


class InceptionEncoder(Encoder):
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
        hidden_dim: DimOrNone = 128,
        space: Space = "map",
        norm: VideoNorm = "layer",
        activation: Activation = "gelu",
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
        self.level_strides = [math.prod(strides)]
        self.level_fields = [receptive_frames(layers)]
        self.vector = PictureVector(dim, halved(height, 5), halved(width, 5), hidden_dim, space)
        self.level_dims = [self.vector.out_dim]

    def forward(self, pictures: Pictures) -> Levels:
        return [self.vector(self.blocks(rearrange(pictures, "b t c h w -> b c t h w")))]


def inflated(convolution: nn.Conv2d, kernel_frames: int) -> VideoConvolution:
    """A square 2D convolution as a 3D one that gives the same for a film that stands still.

    Arguments
        convolution: of pictures; kernel of odd size and padded by half of it.
        kernel_frames: length of the kernel over frames.

    Its weights are repeated over frames and divided by their number. The first and last frame are
    repeated beyond the ends, without which the ends of a still film would not stand still.

    Raises
        SettingsError: the convolution is not square, of odd size, padded by half and undilated.

    Source: Carreira and Zisserman 2017 (I3D), section 2.3, "Bootstrapping 3D filters".
    """
    (rows, columns), (stride, other) = convolution.kernel_size, convolution.stride
    half = rows // 2
    plain = convolution.dilation == (1, 1) and convolution.groups == 1
    if rows != columns or rows % 2 == 0 or stride != other or not plain:
        raise SettingsError(
            f"{convolution}: expected a square kernel of odd size, one stride, no dilation, no "
            "groups; inflate another convolution."
        )
    if convolution.padding != (half, half) or convolution.padding_mode != "zeros":
        raise SettingsError(f"{convolution}: expected {half} zeros around to inflate it.")
    bias = convolution.bias is not None
    film = VideoConvolution(
        convolution.in_channels,
        convolution.out_channels,
        kernel_frames,
        rows,
        stride_pixels=stride,
        bias=bias,
        ends="repeat",
    ).to(convolution.weight)
    with torch.no_grad():
        film.convolution.weight.copy_(convolution.weight[:, :, None] / kernel_frames)
        if bias:
            film.convolution.bias.copy_(convolution.bias)
    return film


class I3dEncoder(Encoder):
    """`Frame2dEncoder` with convolutions over frames and pixels at once.

    Arguments
        height, width: pixels of a picture.
        channels: features of each convolution that halves pictures.
        kernel_frames: length of the kernels over frames.
        hidden_dim: features of a frame in the result.
        start: "inflated" starts as the network of pictures that it is made from, which gives the
            same for a film that stands still; it knows no order until it has learned. "random"
            starts every tap of the kernels apart.

    Source: Carreira and Zisserman 2017 (I3D), section 2.3.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        channels: Dims = (16, 32, 64),
        kernel_frames: Annotated[int, Field(ge=1, le=63)] = 3,
        hidden_dim: Dim = 128,
        start: Literal["inflated", "random"] = "inflated",
    ):
        super().__init__()
        self.kernel_frames, self.level_dims = kernel_frames, [hidden_dim]
        layers: list[nn.Module] = []
        for before, after in zip((3, *channels), channels, strict=False):
            layers += [
                VideoConvolution(before, after, kernel_frames, 3, stride_pixels=2, ends="repeat"),
                PictureNorm(after),
                nn.GELU(),
            ]
        self.blocks = nn.Sequential(*layers)
        self.level_fields = [receptive_frames(layers[::3])]
        left = [halved(pixels, len(channels)) for pixels in (height, width)]
        self.vector = PictureVector(channels[-1], *left, hidden_dim, "map")
        if start == "inflated":
            self.start_from(Frame2dEncoder(height, width, channels=channels, hidden_dim=hidden_dim))

    def start_from(self, pictures: Frame2dEncoder) -> None:
        """Takes the weights of a network of pictures, a trained one say, and inflates them.

        Raises
            SettingsError: the network is of another size.
        """
        theirs = [layer for layer in pictures.convolutions if not isinstance(layer, nn.GELU)]
        given = [
            inflated(layer, self.kernel_frames) if isinstance(layer, nn.Conv2d) else layer
            for layer in [*theirs, pictures.map]
        ]
        mine = [layer for layer in self.blocks if not isinstance(layer, nn.GELU)]
        mine = [layer.norm if isinstance(layer, PictureNorm) else layer for layer in mine]
        mine.append(self.vector.map)
        sizes = [[[p.shape for p in layer.parameters()] for layer in net] for net in (mine, given)]
        if sizes[0] != sizes[1]:
            raise SettingsError(
                "the network of pictures to start from is of another size: expected the same "
                "pictures, channels and hidden_dim."
            )
        for layer, source in zip(mine, given, strict=True):
            layer.load_state_dict(source.state_dict())

    def forward(self, pictures: Pictures) -> Levels:
        return [self.vector(self.blocks(rearrange(pictures, "b t c h w -> b c t h w")))]


class I3dInceptionEncoder(InceptionEncoder):
    """The published network, with kernels over frames and pixels at once.

    ``slimming: 1, time_strides: [2, 2, 2], hidden_dim: 400, space: mean, norm: batch, activation:
    relu`` is that of 400 classes, 12,697,264 parameters, 12,287,264 of them before the last map;
    the 12.29 million that are quoted are the latter.

    Source: Carreira and Zisserman 2017 (I3D), figure 3.
    """


# Pictures of a film differ from the ones before by about a fifth of how they differ in space.
_GAIN = 5.0


class S3dEncoder(Encoder):
    """Blocks of a 1 x 3 x 3 convolution that halves pictures, then one over frames alone.

    A norm and an activation follow each of the two. The pixels that are left become one vector.

    Arguments
        height, width: pixels of a picture.
        channels: features of each block; the report has 64, 128, 256, 512.
        time_strides: frames that each block makes one of; none given, 1 for every block. The report
            has 1, 2, 2, 2, so that one latent stands for 8 frames.
        kernel_frames: length of the convolutions over frames.
        hidden_dim: features of a latent; 0 leaves out the linear map.
        space: "map", a linear map of all pixels, or "mean" over pixels first as in the report.
        norm: "layer" (each frame on its own), "batch" as in the report (statistics cross windows
            and frames in training), or "none".
        activation: "gelu", or "relu" as in the report.
        shown: "pictures", or "differences" of each from the one before, made as large as pictures
            are. Slow motion is a small part of a picture, and hard to find in minutes of it.

    Raises
        SettingsError: as many strides as blocks are expected, and none longer than the kernel; or,
            when it is applied, the frames are no multiple of the strides.

    Source: section 6.3 of the report; Xie et al. 2018 (S3D), section 4.3. Its pooling over time is
    an aggregator's work here: "mean" gives the same, for the map after it is linear.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        channels: Dims = (16, 32, 64),
        time_strides: Annotated[tuple[Depth, ...], Field(max_length=8)] = (),
        kernel_frames: Annotated[int, Field(ge=1, le=63)] = 3,
        hidden_dim: DimOrNone = 128,
        space: Space = "map",
        norm: VideoNorm = "layer",
        activation: Activation = "gelu",
        shown: Literal["pictures", "differences"] = "pictures",
    ):
        super().__init__()
        self.shown = shown
        strides = tuple(time_strides) or (1,) * len(channels)
        if len(strides) != len(channels):
            raise SettingsError(
                f"time_strides = {strides}: expected {len(channels)} numbers, one for "
                "each block in channels, or none for 1 everywhere."
            )
        layers: list[nn.Module] = []
        for before, after, stride in zip((3, *channels), channels, strides, strict=False):
            for convolution in (
                VideoConvolution(before, after, 1, 3, stride_pixels=2),
                VideoConvolution(after, after, kernel_frames, 1, stride=stride),
            ):
                layers += [convolution, video_norm(norm, after), activation_layer(activation)]
        self.blocks = nn.Sequential(*layers)
        left = [halved(pixels, len(channels)) for pixels in (height, width)]
        self.vector = PictureVector(channels[-1], *left, hidden_dim, space)
        self.level_dims, self.level_strides = [self.vector.out_dim], [math.prod(strides)]
        self.level_fields = [receptive_frames(layers[::3]) + (shown == "differences")]

    def forward(self, pictures: Pictures) -> Levels:
        if self.shown == "differences":
            pictures = _GAIN * differences(pictures)
        return [self.vector(self.blocks(rearrange(pictures, "b t c h w -> b c t h w")))]


class S3dInceptionEncoder(InceptionEncoder):
    """The published network: Inception with each kernel one over pixels, then one over frames.

    ``slimming: 1, time_strides: [2, 2, 2], hidden_dim: 400, space: mean, norm: batch, activation:
    relu`` is torchvision's of 400 classes, 8,320,048 parameters.

    Source: Xie et al. 2018 (S3D), section 4.3.
    """

    separable = True
