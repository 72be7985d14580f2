"""Temporal kernels: learned weights over the time of a TR, smooth, and free to be negative."""

import math
from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.params import SettingsError


def time_cosines(
    n_cosines: int, n_frames: int, device: torch.device | None = None
) -> Float[Tensor, "cosine frame"]:
    """Cosines of 0, 1, 2, ... half waves over the TR, at the middles of its frames."""
    fraction = (torch.arange(n_frames, device=device) + 0.5) / n_frames
    half_waves = torch.arange(n_cosines, device=device)
    return torch.cos(math.pi * half_waves[:, None] * fraction)


class KernelAggregator(nn.Module):
    """Sums of each level's frames under a few learned kernels; these go to a linear map.

    A kernel is a weighted sum of cosines over the TR, from none (an average) to ``n_cosines`` - 1
    half waves. Kernel k starts as the cosine of k half waves: the first is the average, the second
    tells rise from fall. Unlike attention it can subtract, and with a handful of weights it needs
    far fewer TRs than a free weight for each frame and feature.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
        n_kernels: kernels, shared by the features of a level.
        n_cosines: cosines that kernels are made of.

    Raises
        SettingsError: more kernels than cosines.

    Source: "learned temporal kernels", section 4.2 of the report.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        n_kernels: Annotated[int, Field(ge=1, le=256)] = 4,
        n_cosines: Annotated[int, Field(ge=1, le=256)] = 8,
    ):
        super().__init__()
        if n_kernels > n_cosines:
            raise SettingsError(f"n_kernels = {n_kernels}: expected at most n_cosines, {n_cosines}")
        self.n_cosines = n_cosines
        start = torch.eye(n_kernels, n_cosines).repeat(len(level_dims), 1, 1)
        self.weights = nn.Parameter(start)
        self.map = nn.Linear(n_kernels * sum(level_dims), dim)

    def kernels(self, n_frames: int) -> Float[Tensor, "level kernel frame"]:
        """The kernels at the frames of a TR; they are functions of time, so any number will do."""
        cosines = time_cosines(self.n_cosines, n_frames, self.weights.device)
        return self.weights @ cosines.to(self.weights.dtype) / n_frames

    def forward(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch dim"]:
        sums = []
        for index, level in enumerate(levels):
            kernels = self.kernels(level.shape[1])[index]
            weighted = torch.einsum("k t, b t d -> b k d", kernels, level)
            sums.append(rearrange(weighted, "b k d -> b (k d)"))
        return self.map(torch.cat(sums, dim=-1))
