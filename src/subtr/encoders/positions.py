"""Temporal positional encodings: they tell each frame when in its TR it is.

An encoding is built from its options alone. It is given frames, the second since the TR's onset at
each frame's middle (negative in frames of the TR before) and the TR in seconds, and ``out_dim``
says how many features a frame has then. What was there stays first; codes are appended. All take
any number of frames and any TR, also others than those of training.
"""

import math
from abc import ABC, abstractmethod
from typing import Annotated

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.params import Depth, Number, Positive, Registry, SettingsError

Window = Float[Tensor, "batch frame feature"]

Times = Float[Tensor, " frame"]  # seconds since the TR's onset

Channels = Float[Tensor, "frame channel"]

Encoded = Float[Tensor, "batch frame encoded"]

Periods = Float[Tensor, " period"]  # in seconds


class TimeChannels(nn.Module, ABC):
    """Appends ``n_channels`` functions of time to every frame; subclasses say which.

    Arguments
        n_channels: features that a frame gains.
    """

    def __init__(self, n_channels: int):
        super().__init__()
        self.n_channels = n_channels

    def out_dim(self, in_dim: int) -> int:
        """Features of a frame after encoding, given those before."""
        return in_dim + self.n_channels

    @abstractmethod
    def channels(self, times_s: Times, tr_s: float) -> Channels:
        """The code of each moment: seconds since the TR's onset, in a TR of ``tr_s`` seconds."""

    def forward(self, frames: Window, times_s: Times, tr_s: float) -> Encoded:
        code = self.channels(times_s, tr_s).to(frames.dtype)
        code = repeat(code, "frame channel -> batch frame channel", batch=len(frames))
        return torch.cat([frames, code], dim=-1)


class ElapsedTime(TimeChannels):
    """Appends four channels: seconds since the TR began, fraction of the TR, its sine and cosine.

    Source: section 1.5 of the report; sine and cosine go once round in a TR.
    """

    def __init__(self):
        super().__init__(n_channels=4)

    def channels(self, times_s: Times, tr_s: float) -> Channels:
        """Seconds, fraction, sine and cosine at each moment."""
        fraction = times_s / tr_s
        angle = 2 * math.pi * fraction
        return torch.stack([times_s, fraction, angle.sin(), angle.cos()], dim=-1)


class RelativePosition(nn.Module):
    """Appends to each frame what self-attention with a learned bias of distance makes of all.

    In the paper the output at frame i is the sum over j of (A_ij + w_(i-j)) x_j: softmax attention
    A, and a learned scalar for each distance that is added after the softmax, where it is not
    levelled. Two things differ, so that weights learned at one TR and frame rate serve at others:

    - w is a function of seconds, t_i - t_j: straight lines between ``n_knots`` learned values over
      ``reach_s`` on either side, zero from there on. As it is summed over time, it is a weight per
      second, multiplied by the seconds that a frame lasts.
    - Encoders follow with maps of their own, so frames are themselves queries, keys and values;
      queries and keys are standardised, and how sharply they are compared is learned.

    The bias starts at zero, as attention that cannot tell when a frame comes.

    Arguments
        n_heads: copies with a bias and sharpness of their own; each appends as many features as a
            frame has.
        n_knots: values of the bias that are learned.
        reach_s: distance in seconds at which the bias has fallen to zero.

    Source: Foumani et al. 2023, efficient relative position encoding.
    """

    def __init__(
        self,
        *,
        n_heads: Depth = 1,
        n_knots: Annotated[int, Field(ge=1, le=1025)] = 31,
        reach_s: Positive = 1.0,
    ):
        super().__init__()
        self.n_heads, self.reach_s = n_heads, reach_s
        knots_s = torch.linspace(-reach_s, reach_s, n_knots + 2)[1:-1]
        self.register_buffer("knots_s", knots_s, persistent=False)
        self.values = nn.Parameter(torch.zeros(n_heads, n_knots))
        self.log_sharpness = nn.Parameter(torch.zeros(n_heads))

    def out_dim(self, in_dim: int) -> int:
        """Features of a frame after encoding, given those before."""
        return in_dim * (1 + self.n_heads)

    def bias(self, distance_s: Float[Tensor, "frame other"]) -> Float[Tensor, "head frame other"]:
        """Weight per second of what lies ``distance_s`` seconds earlier (later, if negative)."""
        spacing_s = 2 * self.reach_s / (len(self.knots_s) + 1)
        nearness = 1 - (distance_s[..., None] - self.knots_s).abs() / spacing_s
        nearness = nearness.clamp(min=0).to(self.values.dtype)
        return torch.einsum("h k, i j k -> h i j", self.values, nearness)

    def attention(
        self, frames: Float[Tensor, "batch frame feature"]
    ) -> Float[Tensor, "batch head frame other"]:
        """What each frame takes of each other for its content; sums to 1 over the others."""
        alike = nn.functional.layer_norm(frames, frames.shape[-1:])
        scores = torch.einsum("b i d, b j d -> b i j", alike, alike) * frames.shape[-1] ** -0.5
        return (scores[:, None] * self.log_sharpness.exp()[:, None, None]).softmax(dim=-1)

    def forward(self, frames: Window, times_s: Times, tr_s: float) -> Encoded:
        # Frames are evenly spaced; one alone stands for its TR.
        n_frames = len(times_s)
        frame_s = (times_s[-1] - times_s[0]) / (n_frames - 1) if n_frames > 1 else tr_s
        bias = self.bias(times_s[:, None] - times_s) * frame_s
        weights = (self.attention(frames) + bias).to(frames.dtype)
        heads = torch.einsum("b h i j, b j d -> b h i d", weights, frames)
        heads = rearrange(heads, "b h i d -> b i (h d)")
        return torch.cat([frames, heads], dim=-1)


class NoPosition(nn.Module):
    """Leaves the frames as they are."""

    def out_dim(self, in_dim: int) -> int:
        """Features of a frame after encoding, given those before."""
        return in_dim

    def forward(self, frames: Window, times_s: Times, tr_s: float) -> Encoded:
        return frames


def spaced_periods_s(n_periods: int, shortest_s: float, longest_s: float) -> Periods:
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
        self, *, n_periods: Number = 8, shortest_s: Positive = 0.1, longest_s: Positive = 8.0
    ):
        super().__init__(2 * n_periods)
        periods_s = spaced_periods_s(n_periods, shortest_s, longest_s)
        self.register_buffer("periods_s", periods_s, persistent=False)

    def channels(self, times_s: Times, tr_s: float) -> Channels:
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
        self, *, n_periods: Number = 8, shortest_s: Positive = 0.1, longest_s: Positive = 8.0
    ):
        super().__init__(2 * n_periods)
        self.log_periods_s = nn.Parameter(spaced_periods_s(n_periods, shortest_s, longest_s).log())

    @property
    def periods_s(self) -> Periods:
        """The periods as they are now, in seconds."""
        return self.log_periods_s.exp()

    def channels(self, times_s: Times, tr_s: float) -> Channels:
        """All sines, then all cosines, in the order of the periods."""
        return _waves(times_s, 2 * math.pi / self.periods_s)


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
        length_s: Positive | None = None,
    ):
        super().__init__(n_channels)
        self.length_s = length_s
        exponent = torch.arange(0, n_channels, 2) / n_channels
        scaled = torch.exp(-math.log(10000) * exponent) * n_channels
        self.register_buffer("scaled", scaled, persistent=False)

    def channels(self, times_s: Times, tr_s: float) -> Channels:
        """All sines, then all cosines, by falling frequency."""
        length_s = tr_s if self.length_s is None else self.length_s
        return _waves(times_s / length_s, self.scaled)


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
        self, *, n_periods: Number = 8, shortest_s: Positive = 0.1, longest_s: Positive = 8.0
    ):
        super().__init__(1 + n_periods)
        angular_hz = 2 * math.pi / spaced_periods_s(n_periods, shortest_s, longest_s)
        self.rates = nn.Parameter(torch.cat([torch.ones(1), angular_hz]))
        self.phases = nn.Parameter(torch.cat([torch.zeros(1), 2 * math.pi * torch.rand(n_periods)]))

    def channels(self, times_s: Times, tr_s: float) -> Channels:
        """The line, then the sines."""
        angle = times_s[:, None] * self.rates + self.phases
        return torch.cat([angle[:, :1], angle[:, 1:].sin()], dim=-1)


POSITIONS = Registry(
    "position",
    {
        "none": NoPosition,
        "elapsed": ElapsedTime,
        "sinusoidal": Sinusoidal,
        "time_aware": TimeAware,
        "time2vec": Time2Vec,
        "tape": LengthScaledPosition,
        "erpe": RelativePosition,
    },
)
