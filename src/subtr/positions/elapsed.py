"""Time since the TR began, as it is."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from subtr.positions.channels import TimeChannels


class ElapsedTime(TimeChannels):
    """Appends four channels: seconds since the TR began, fraction of the TR, its sine and cosine.

    Source: section 1.5 of the report; sine and cosine go once round in a TR.
    """

    def __init__(self):
        super().__init__(n_channels=4)

    def channels(
        self, times_s: Float[Tensor, " frame"], tr_s: float
    ) -> Float[Tensor, "frame channel"]:
        """Seconds, fraction, sine and cosine at each moment."""
        fraction = times_s / tr_s
        angle = 2 * math.pi * fraction
        return torch.stack([times_s, fraction, angle.sin(), angle.cos()], dim=-1)
