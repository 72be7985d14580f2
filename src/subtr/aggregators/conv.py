"""Strided convolutions shorten a level until a linear map can take all of it, in order."""

from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn


class ConvReduction(nn.Module):
    """Convolutions of stride 2 until at most ``last_frames`` remain, flattened in order of time.

    Arguments
        level_dim, n_frames: features and frames of the level; any number of frames.
        hidden_dim: features of the convolutions.
        last_frames: the convolutions end at this many frames or fewer.
    """

    def __init__(self, level_dim: int, n_frames: int, hidden_dim: int, last_frames: int):
        super().__init__()
        layers, dim = [], level_dim
        while n_frames > last_frames:
            layers += [nn.Conv1d(dim, hidden_dim, 3, stride=2, padding=1), nn.GELU()]
            dim, n_frames = hidden_dim, (n_frames + 1) // 2
        self.layers = nn.Sequential(*layers)
        self.out_dim = dim * n_frames

    def forward(self, level: Float[Tensor, "batch frame dim"]) -> Float[Tensor, "batch flat"]:
        return rearrange(self.layers(rearrange(level, "b t d -> b d t")), "b d t -> b (t d)")


class ConvAggregator(nn.Module):
    """Learned strided convolutions over the frames of each level, flattened to a linear map.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
        hidden_dim: features of the convolutions.
        last_frames: frames at which the convolutions hand over to the linear map.

    Source: section 4.2 of the report, without the average at its end.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        hidden_dim: Annotated[int, Field(ge=1, le=8192)] = 128,
        last_frames: Annotated[int, Field(ge=1, le=4096)] = 8,
    ):
        super().__init__()
        self.reductions = nn.ModuleList(
            ConvReduction(level_dim, n_frames, hidden_dim, last_frames)
            for level_dim, n_frames in zip(level_dims, level_frames, strict=True)
        )
        self.map = nn.Linear(sum(reduction.out_dim for reduction in self.reductions), dim)

    def forward(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch dim"]:
        flat = [reduction(level) for reduction, level in zip(self.reductions, levels, strict=True)]
        return self.map(torch.cat(flat, dim=-1))
