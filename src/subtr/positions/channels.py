"""Encodings that append channels of time, the same for whatever the frames hold."""

from abc import ABC, abstractmethod

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn


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
    def channels(
        self, times_s: Float[Tensor, " frame"], tr_s: float
    ) -> Float[Tensor, "frame channel"]:
        """The code of each moment: seconds since the TR's onset, in a TR of ``tr_s`` seconds."""

    def forward(
        self,
        frames: Float[Tensor, "batch frame feature"],
        times_s: Float[Tensor, " frame"],
        tr_s: float,
    ) -> Float[Tensor, "batch frame encoded"]:
        code = self.channels(times_s, tr_s).to(frames.dtype)
        code = repeat(code, "frame channel -> batch frame channel", batch=len(frames))
        return torch.cat([frames, code], dim=-1)
