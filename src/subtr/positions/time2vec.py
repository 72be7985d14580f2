"""Time2Vec: one straight line of time and several learned waves."""

import math
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.positions.channels import TimeChannels
from subtr.positions.sinusoidal import spaced_periods_s


class Time2Vec(TimeChannels):
    """Appends a line of seconds since the TR began, and sines of learned rate and phase.

    Channel 0 is w_0 t + p_0, channel i is sin(w_i t + p_i), with t in seconds: what is learned
    holds for a moment at every TR and frame rate.

    Arguments
        n_periods: number of sines.
        shortest_s, longest_s: periods in seconds from which learning starts, spaced geometrically;
            phases start at random, and the line as the seconds themselves.

    Raises
        SettingsError: ``shortest_s`` is not below ``longest_s``.

    Source: Kazemi et al. 2019, equation 1, with the sine as its periodic function.
    """

    def __init__(
        self,
        *,
        n_periods: Annotated[int, Field(ge=1, le=256)] = 8,
        shortest_s: Annotated[float, Field(gt=0)] = 0.1,
        longest_s: Annotated[float, Field(gt=0)] = 8.0,
    ):
        super().__init__(1 + n_periods)
        angular_hz = 2 * math.pi / spaced_periods_s(n_periods, shortest_s, longest_s)
        self.rates = nn.Parameter(torch.cat([torch.ones(1), angular_hz]))
        self.phases = nn.Parameter(torch.cat([torch.zeros(1), 2 * math.pi * torch.rand(n_periods)]))

    def channels(
        self, times_s: Float[Tensor, " frame"], tr_s: float
    ) -> Float[Tensor, "frame channel"]:
        """The line, then the sines."""
        angle = times_s[:, None] * self.rates + self.phases
        return torch.cat([angle[:, :1], angle[:, 1:].sin()], dim=-1)
