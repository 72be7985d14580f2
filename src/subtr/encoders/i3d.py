"""Inflation: a network of pictures becomes one of films, and starts as what it was."""

from typing import Annotated, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.convolutions import receptive_frames
from subtr.encoders.frame2d import Frame2dEncoder
from subtr.encoders.inception import InceptionEncoder
from subtr.encoders.video_convolutions import PictureNorm, PictureVector, VideoConvolution, halved
from subtr.params import SettingsError


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


class I3dEncoder(nn.Module):
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
        channels: Annotated[
            tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=1, max_length=8)
        ] = (16, 32, 64),
        kernel_frames: Annotated[int, Field(ge=1, le=63)] = 3,
        hidden_dim: Annotated[int, Field(ge=1, le=8192)] = 128,
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

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Pictures per second."""
        return [input_frame_hz]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Seconds of input that a latent sees, summed over the convolutions."""
        layers = [layer for layer in self.blocks if isinstance(layer, VideoConvolution)]
        return [receptive_frames(layers) / input_frame_hz]

    def forward(
        self, pictures: Float[Tensor, "batch frame rgb height width"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        return [self.vector(self.blocks(rearrange(pictures, "b t c h w -> b c t h w")))]


class I3dInceptionEncoder(InceptionEncoder):
    """The published network, with kernels over frames and pixels at once.

    ``slimming: 1, time_strides: [2, 2, 2], hidden_dim: 400, space: mean, norm: batch, activation:
    relu`` is that of 400 classes, 12,697,264 parameters, 12,287,264 of them before the last map;
    the 12.29 million that are quoted are the latter.

    Source: Carreira and Zisserman 2017 (I3D), figure 3.
    """
