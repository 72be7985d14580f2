"""Sines and cosines of seconds, at periods that are given or learned."""

import math
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.params import SettingsError
from subtr.positions.channels import TimeChannels


def spaced_periods_s(
    n_periods: int, shortest_s: float, longest_s: float
) -> Float[Tensor, " period"]:
    """Periods in seconds from the shortest to the longest, each the same multiple of the last.

    Raises
        SettingsError: the shortest is not below the longest.
    """
    if shortest_s >= longest_s:
        raise SettingsError(
            f"shortest_s = {shortest_s}: expected less than longest_s, {longest_s}; both are "
            "periods in seconds"
        )
    return torch.logspace(math.log10(shortest_s), math.log10(longest_s), n_periods)


def _waves(times_s: Tensor, angular_hz: Tensor) -> Tensor:
    angle = times_s[:, None] * angular_hz
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class Sinusoidal(TimeChannels):
    """Appends sines and cosines of seconds since the TR began, at geometrically spaced periods.

    Arguments
        n_periods: number of periods; each gives two channels.
        shortest_s, longest_s: the periods in seconds, so that the code of a moment is the same at
            every TR and frame rate.

    Raises
        SettingsError: ``shortest_s`` is not below ``longest_s``.

    Source: Vaswani et al. 2017, with seconds instead of positions.
    """

    def __init__(
        self,
        *,
        n_periods: Annotated[int, Field(ge=1, le=256)] = 8,
        shortest_s: Annotated[float, Field(gt=0)] = 0.1,
        longest_s: Annotated[float, Field(gt=0)] = 8.0,
    ):
        super().__init__(2 * n_periods)
        periods_s = spaced_periods_s(n_periods, shortest_s, longest_s)
        self.register_buffer("periods_s", periods_s, persistent=False)

    def channels(
        self, times_s: Float[Tensor, " frame"], tr_s: float
    ) -> Float[Tensor, "frame channel"]:
        """All sines, then all cosines, by rising period."""
        return _waves(times_s, 2 * math.pi / self.periods_s)


class TimeAware(TimeChannels):
    """Appends sines and cosines of seconds since the TR began, at frequencies that are learned.

    It starts as `Sinusoidal` of the same options. Periods are learned as logarithms: they stay
    positive, and one step of training moves slow and fast ones by the same share.

    Arguments
        n_periods: number of frequencies; each gives two channels.
        shortest_s, longest_s: periods in seconds from which learning starts. The code of a moment
            is the same at every TR and frame rate, before learning and after.

    Raises
        SettingsError: ``shortest_s`` is not below ``longest_s``.

    Source: "time-aware encoding", section 1.5 of the report.
    """

    def __init__(
        self,
        *,
        n_periods: Annotated[int, Field(ge=1, le=256)] = 8,
        shortest_s: Annotated[float, Field(gt=0)] = 0.1,
        longest_s: Annotated[float, Field(gt=0)] = 8.0,
    ):
        super().__init__(2 * n_periods)
        self.log_periods_s = nn.Parameter(spaced_periods_s(n_periods, shortest_s, longest_s).log())

    @property
    def periods_s(self) -> Float[Tensor, " period"]:
        """The periods as they are now, in seconds."""
        return self.log_periods_s.exp()

    def channels(
        self, times_s: Float[Tensor, " frame"], tr_s: float
    ) -> Float[Tensor, "frame channel"]:
        """All sines, then all cosines, in the order of the periods."""
        return _waves(times_s, 2 * math.pi / self.periods_s)
