"""tAPE: sinusoids whose frequencies suit the length of what they divide."""

import math
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from subtr.positions.channels import TimeChannels


class LengthScaledPosition(TimeChannels):
    """Appends sines and cosines of frequencies scaled by the number of channels over the length.

    In the paper frame i of L has the angle i w_k d / L, where w_k = 10000^(-2k / d) and d is the
    number of channels, so that a short series uses the whole circle. Here i / L is the share of the
    length that has passed in seconds, t / length: the number of frames drops out.

    Arguments
        n_channels: d; half of them sines, half cosines.
        length_s: the length in seconds. None takes the TR: the same share of a TR has the same code
            at every TR and frame rate. A number gives the same second the same code instead.

    Source: Foumani et al. 2023, time absolute position encoding.
    """

    def __init__(
        self,
        *,
        n_channels: Annotated[int, Field(ge=2, le=1024, multiple_of=2)] = 32,
        length_s: Annotated[float, Field(gt=0)] | None = None,
    ):
        super().__init__(n_channels)
        self.length_s = length_s
        exponent = torch.arange(0, n_channels, 2) / n_channels
        scaled = torch.exp(-math.log(10000) * exponent) * n_channels
        self.register_buffer("scaled", scaled, persistent=False)

    def channels(
        self, times_s: Float[Tensor, " frame"], tr_s: float
    ) -> Float[Tensor, "frame channel"]:
        """All sines, then all cosines, by falling frequency."""
        length_s = tr_s if self.length_s is None else self.length_s
        angle = times_s[:, None] / length_s * self.scaled
        return torch.cat([angle.sin(), angle.cos()], dim=-1)
