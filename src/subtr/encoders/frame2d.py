"""Each picture on its own through a 2D convolutional network: the encoder that knows no motion."""

from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn


class Frame2dEncoder(nn.Module):
    """Convolutions that halve each picture, then a linear map to one vector a picture.

    Arguments
        height, width: pixels of a picture.
        channels: features of each halving convolution.
        hidden_dim: features of a picture in the result.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        channels: Annotated[
            tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=1, max_length=8)
        ] = (16, 32, 64),
        hidden_dim: Annotated[int, Field(ge=1, le=8192)] = 128,
    ):
        super().__init__()
        layers, dim = [], 3
        for wider in channels:
            layers += [nn.Conv2d(dim, wider, 3, stride=2, padding=1), nn.GroupNorm(1, wider)]
            layers.append(nn.GELU())
            dim, height, width = wider, (height + 1) // 2, (width + 1) // 2
        self.convolutions = nn.Sequential(*layers)
        self.map = nn.Linear(dim * height * width, hidden_dim)
        self.level_dims = [hidden_dim]

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Pictures per second of each level."""
        return [input_frame_hz]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Seconds of input that a latent of each level sees: one picture."""
        return [1 / input_frame_hz]

    def forward(
        self, pictures: Float[Tensor, "batch frame rgb height width"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        n_frames = pictures.shape[1]
        features = self.convolutions(rearrange(pictures, "b t c h w -> (b t) c h w"))
        vectors = self.map(torch.flatten(features, 1))
        return [rearrange(vectors, "(b t) d -> b t d", t=n_frames)]
