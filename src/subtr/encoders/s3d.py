"""Separable 3D convolutions: each block looks at pixels first, then at time."""

import math
from typing import Annotated, Literal

from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.convolutions import activation_layer, receptive_frames
from subtr.encoders.inception import InceptionEncoder
from subtr.encoders.two_stream import differences
from subtr.encoders.video_convolutions import PictureVector, VideoConvolution, halved, video_norm
from subtr.params import SettingsError

# Pictures of a film differ from the ones before by about a fifth of how they differ in space.
_GAIN = 5.0


class S3dEncoder(nn.Module):
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
        channels: Annotated[
            tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=1, max_length=8)
        ] = (16, 32, 64),
        time_strides: Annotated[
            tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(max_length=8)
        ] = (),
        kernel_frames: Annotated[int, Field(ge=1, le=63)] = 3,
        hidden_dim: Annotated[int, Field(ge=0, le=8192)] = 128,
        space: Literal["map", "mean"] = "map",
        norm: Literal["layer", "batch", "none"] = "layer",
        activation: Literal["relu", "gelu"] = "gelu",
        shown: Literal["pictures", "differences"] = "pictures",
    ):
        super().__init__()
        self.shown = shown
        self.time_strides = tuple(time_strides) or (1,) * len(channels)
        if len(self.time_strides) != len(channels):
            raise SettingsError(
                f"time_strides = {self.time_strides}: expected {len(channels)} numbers, one for "
                "each block in channels, or none for 1 everywhere."
            )
        layers: list[nn.Module] = []
        for before, after, stride in zip((3, *channels), channels, self.time_strides, strict=False):
            for convolution in (
                VideoConvolution(before, after, 1, 3, stride_pixels=2),
                VideoConvolution(after, after, kernel_frames, 1, stride=stride),
            ):
                layers += [convolution, video_norm(norm, after), activation_layer(activation)]
        self.blocks = nn.Sequential(*layers)
        left = [halved(pixels, len(channels)) for pixels in (height, width)]
        self.vector = PictureVector(channels[-1], *left, hidden_dim, space)
        self.level_dims = [self.vector.out_dim]

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Latents per second."""
        return [input_frame_hz / math.prod(self.time_strides)]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Seconds of input that a latent sees, summed over the convolutions."""
        layers = [layer for layer in self.blocks if isinstance(layer, VideoConvolution)]
        before = 1 if self.shown == "differences" else 0
        return [(receptive_frames(layers) + before) / input_frame_hz]

    def forward(
        self, pictures: Float[Tensor, "batch frame rgb height width"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
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
