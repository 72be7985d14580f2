"""A linear basis over the whole window of the finest level, and what deeper levels add to it."""

from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.aggregators.conv import ConvReduction
from subtr.params import SettingsError


class LinearAggregator(nn.Module):
    """One linear map of all frames and features of the finest level at once.

    It can do what PCA of the flattened window does and is started there (see ``start_from``);
    training goes on from it. Deeper levels add to the vector through strided convolutions whose
    last map starts at zero.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
        hidden_dim: features of the convolutions over deeper levels.
        last_frames: frames at which these hand over to a linear map.
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
        self.basis = nn.Linear(level_dims[0] * level_frames[0], dim)
        self.reductions = nn.ModuleList(
            ConvReduction(level_dim, n_frames, hidden_dim, last_frames)
            for level_dim, n_frames in zip(level_dims[1:], level_frames[1:], strict=True)
        )
        self.maps = nn.ModuleList(nn.Linear(part.out_dim, dim) for part in self.reductions)
        for added in self.maps:
            nn.init.zeros_(added.weight)
            nn.init.zeros_(added.bias)

    @torch.no_grad()
    def start_from(
        self, analysis: Float[Tensor, "dim flat"], offset: Float[Tensor, " dim"]
    ) -> list[nn.Parameter]:
        """Sets the basis, a row for each number of the vector, and what is added to each.

        Gives what it set.

        Raises
            SettingsError: the finest level is not what the analysis is of.
        """
        n_values = self.basis.in_features
        if analysis.shape[1] != n_values:
            raise SettingsError(
                f"start = 'pca': components of {analysis.shape[1]} values, but the finest level "
                f"has {n_values}; set stream.keep_input = true, so that the frames are it."
            )
        self.basis.weight.copy_(analysis)
        self.basis.bias.copy_(offset)
        return [self.basis.weight, self.basis.bias]

    def forward(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch dim"]:
        vector = self.basis(rearrange(levels[0], "b t d -> b (t d)"))
        for level, reduction, added in zip(levels[1:], self.reductions, self.maps, strict=True):
            vector = vector + added(reduction(level))
        return vector
