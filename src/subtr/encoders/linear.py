"""Every frame on its own: the encoder that knows no time."""

from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn


class LinearEncoder(nn.Module):
    """One linear map of each frame's features.

    Arguments
        in_dim: features of a frame.
        hidden_dim: features of the result; 0 hands the frames on unchanged.
    """

    def __init__(self, in_dim: int, *, hidden_dim: Annotated[int, Field(ge=0, le=8192)] = 128):
        super().__init__()
        self.level_dims = [hidden_dim or in_dim]
        self.map = nn.Linear(in_dim, hidden_dim) if hidden_dim else nn.Identity()

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Frames per second of each level."""
        return [input_frame_hz]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Seconds of input that a frame of each level sees."""
        return [1 / input_frame_hz]

    def forward(
        self, frames: Float[Tensor, "batch frame feature"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        return [self.map(frames)]
