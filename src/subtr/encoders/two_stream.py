"""Two streams: what is in a picture, and how it moved or differs since the one before."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.flow import flow_pictures
from subtr.encoders.frame2d import Frame2dEncoder


def differences(
    pictures: Float[Tensor, "batch frame rgb height width"],
) -> Float[Tensor, "batch frame rgb height width"]:
    """Each picture less the one before it; zero for the first, which has none.

    Source: section 3.2 of the report, I(t+1) - I(t), kept at t+1 so that none looks ahead.
    """
    return torch.diff(pictures, dim=1, prepend=pictures[:, :1])


class TwoStreamEncoder(nn.Module):
    """A 2D network for pictures and another for their motion, fused picture by picture.

    Arguments
        height, width: pixels of a picture.
        channels, motion_channels: features of each halving convolution of the two networks.
        hidden_dim: features of a picture in each stream.
        motion: "differences" of consecutive pictures, or optical "flow" between them, which costs
            more and knows where things went.
        fusion: "map", a linear map of both to ``hidden_dim`` features; "mean" of both, as the paper
            fuses scores; or "concatenate", which leaves 2 ``hidden_dim`` features.

    Source: section 3.2 of the report; Simonyan and Zisserman 2014 (Two-Stream), section 2, with
    "flow"; differences of pictures are the report's lighter way.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        channels: Annotated[
            tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=1, max_length=8)
        ] = (16, 32, 64),
        motion_channels: Annotated[
            tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=1, max_length=8)
        ] = (8, 16, 32),
        hidden_dim: Annotated[int, Field(ge=1, le=8192)] = 128,
        motion: Literal["differences", "flow"] = "differences",
        fusion: Literal["map", "mean", "concatenate"] = "map",
    ):
        super().__init__()
        self.appearance = Frame2dEncoder(height, width, channels=channels, hidden_dim=hidden_dim)
        self.moved = flow_pictures if motion == "flow" else differences
        self.motion = Frame2dEncoder(height, width, channels=motion_channels, hidden_dim=hidden_dim)
        self.fusion = fusion
        self.map = nn.Linear(2 * hidden_dim, hidden_dim) if fusion == "map" else nn.Identity()
        self.level_dims = [2 * hidden_dim if fusion == "concatenate" else hidden_dim]

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Pictures per second."""
        return [input_frame_hz]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Seconds of input that a latent sees: its picture and the one before."""
        return [2 / input_frame_hz]

    def forward(
        self, pictures: Float[Tensor, "batch frame rgb height width"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        (appearance,), (motion,) = self.appearance(pictures), self.motion(self.moved(pictures))
        if self.fusion == "mean":
            return [(appearance + motion) / 2]
        return [self.map(torch.cat([appearance, motion], dim=-1))]
