"""A feature pyramid over time: what coarse levels know is handed down to the fine ones."""

from typing import Annotated

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.aggregators.conv import ConvReduction


class PyramidAggregator(nn.Module):
    """Levels fused from coarse to fine, then shortened by strided convolutions to a linear map.

    From the coarsest level on, each sum so far is stretched to the frames of the next finer level
    and added to it, both in ``hidden_dim`` features; a convolution over 3 frames of the finest sum
    smooths the steps that stretching leaves. A single level is only mapped, smoothed and shortened.

    Arguments
        level_dims, level_frames: features and frames of each level, fine first; any ratio between
            the frames of two levels.
        dim: size of the vector.
        hidden_dim: features of the sums and of the convolutions.
        last_frames: frames at which the convolutions hand over to the linear map.

    Source: Lin et al. 2017, feature pyramid networks, section 3, over time instead of space. Of
    their sums the finest alone goes on, for it holds all levels.
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
        self.laterals = nn.ModuleList(nn.Linear(level_dim, hidden_dim) for level_dim in level_dims)
        self.smooth = nn.Conv1d(hidden_dim, hidden_dim, 3, padding=1)
        self.reduction = ConvReduction(hidden_dim, level_frames[0], hidden_dim, last_frames)
        self.map = nn.Linear(self.reduction.out_dim, dim)

    def fused(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch frame hidden"]:
        """The sum of all levels at the frames of the finest, before it is smoothed."""
        *finer, total = [
            rearrange(lateral(level), "b t d -> b d t")
            for lateral, level in zip(self.laterals, levels, strict=True)
        ]
        for level in reversed(finer):
            total = level + F.interpolate(total, size=level.shape[-1], mode="nearest-exact")
        return rearrange(total, "b d t -> b t d")

    def forward(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch dim"]:
        total = rearrange(self.fused(levels), "b t d -> b d t")
        smooth = F.gelu(self.smooth(total))
        return self.map(self.reduction(rearrange(smooth, "b d t -> b t d")))
