"""Optical flow alone through a 2D network: the encoder that sees nothing but motion."""

from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.frame2d import Frame2dEncoder
from subtr.stimulus.flow import optical_flow

_SHARE_OF_WIDTH = 1 / 32


@torch.no_grad()
def flow_pictures(
    pictures: Float[Tensor, "batch frame rgb height width"],
) -> Float[Tensor, "batch frame channel height width"]:
    """Optical flow as pictures of three channels: to the right, down, and how far.

    1 is a 32nd of the picture's width per picture, so that usual motion is of order 1 at any size.
    What is learned never changes flow, so no gradient goes through it.

    Source: Simonyan and Zisserman 2014 (Two-Stream), section 3, for two channels; the length beside
    them makes the three that networks of pictures take.
    """
    shown = rearrange(pictures, "b t c h w -> b t h w c").float().cpu().numpy()
    flow = torch.from_numpy(optical_flow(shown)).to(pictures)
    flow = rearrange(flow, "b t h w c -> b t c h w") / (_SHARE_OF_WIDTH * pictures.shape[-1])
    return torch.cat([flow, flow.norm(dim=2, keepdim=True)], dim=2)


class FlowEncoder(nn.Module):
    """A 2D network on optical flow, picture by picture; the first of a window has none.

    Arguments
        height, width: pixels of a picture.
        channels: features of each halving convolution.
        hidden_dim: features of a picture in the result.

    Source: the motion stream of Simonyan and Zisserman 2014 (Two-Stream), section 3.
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
        self.network = Frame2dEncoder(height, width, channels=channels, hidden_dim=hidden_dim)
        self.level_dims = [hidden_dim]

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Pictures per second."""
        return [input_frame_hz]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Seconds of input that a latent sees: its picture and the one before."""
        return [2 / input_frame_hz]

    def forward(
        self, pictures: Float[Tensor, "batch frame rgb height width"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        return self.network(flow_pictures(pictures))
