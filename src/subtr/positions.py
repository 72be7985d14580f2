"""Temporal positional encodings: they tell each frame when in its TR it is."""

import math
from typing import Annotated

import torch
from einops import repeat
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.registry import Registry


class NoPosition(nn.Module):
    """Leaves the frames as they are."""

    def out_dim(self, in_dim: int) -> int:
        """Features of a frame after encoding, given those before."""
        return in_dim

    def forward(
        self,
        frames: Float[Tensor, "batch frame feature"],
        times_s: Float[Tensor, " frame"],
        tr_s: float,
    ) -> Float[Tensor, "batch frame encoded"]:
        return frames


class ElapsedTime(nn.Module):
    """Appends four channels: seconds since the TR began, fraction of the TR, its sine and cosine.

    Source: section 1.5 of the report; sine and cosine go once round in a TR.
    """

    def out_dim(self, in_dim: int) -> int:
        """Features of a frame after encoding, given those before."""
        return in_dim + 4

    def forward(
        self,
        frames: Float[Tensor, "batch frame feature"],
        times_s: Float[Tensor, " frame"],
        tr_s: float,
    ) -> Float[Tensor, "batch frame encoded"]:
        fraction = times_s / tr_s
        angle = 2 * math.pi * fraction
        channels = torch.stack([times_s, fraction, angle.sin(), angle.cos()], dim=-1)
        return _append(frames, channels)


class Sinusoidal(nn.Module):
    """Appends sines and cosines of seconds since the TR began, at geometrically spaced periods.

    Arguments
        n_periods: number of periods; each gives two channels.
        shortest_s, longest_s: the periods in seconds, so that the code of a moment is the same at
            every TR and frame rate.

    Source: Vaswani et al. 2017, with seconds instead of positions.
    """

    def __init__(
        self,
        *,
        n_periods: Annotated[int, Field(ge=1, le=256)] = 8,
        shortest_s: Annotated[float, Field(gt=0)] = 0.1,
        longest_s: Annotated[float, Field(gt=0)] = 8.0,
    ):
        super().__init__()
        periods_s = torch.logspace(math.log10(shortest_s), math.log10(longest_s), n_periods)
        self.register_buffer("periods_s", periods_s, persistent=False)

    def out_dim(self, in_dim: int) -> int:
        """Features of a frame after encoding, given those before."""
        return in_dim + 2 * len(self.periods_s)

    def forward(
        self,
        frames: Float[Tensor, "batch frame feature"],
        times_s: Float[Tensor, " frame"],
        tr_s: float,
    ) -> Float[Tensor, "batch frame encoded"]:
        angle = 2 * math.pi * times_s[:, None] / self.periods_s
        return _append(frames, torch.cat([angle.sin(), angle.cos()], dim=-1))


def _append(frames: Tensor, channels: Tensor) -> Tensor:
    channels = channels.to(frames.dtype)
    channels = repeat(channels, "frame code -> batch frame code", batch=len(frames))
    return torch.cat([frames, channels], dim=-1)


POSITIONS = Registry(
    "position", {"none": NoPosition, "elapsed": ElapsedTime, "sinusoidal": Sinusoidal}
)
