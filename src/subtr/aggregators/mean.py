"""The two aggregators that lose what happens within a TR: its average, and its central frame."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class MeanAggregator(nn.Module):
    """Mean over the frames of each level, then one linear map: the usual practice.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
    """

    def __init__(self, level_dims: list[int], level_frames: list[int], dim: int):
        super().__init__()
        self.map = nn.Linear(sum(level_dims), dim)

    def forward(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch dim"]:
        return self.map(torch.cat([level.mean(dim=1) for level in levels], dim=-1))


class NearestAggregator(nn.Module):
    """The frame of each level that is nearest to the middle of the TR, then one linear map.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
    """

    def __init__(self, level_dims: list[int], level_frames: list[int], dim: int):
        super().__init__()
        self.map = nn.Linear(sum(level_dims), dim)

    def forward(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch dim"]:
        return self.map(torch.cat([level[:, level.shape[1] // 2] for level in levels], dim=-1))
