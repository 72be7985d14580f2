"""Attention pooling: learned queries choose which frames count."""

from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn


class AttentionAggregator(nn.Module):
    """Learned queries weight the frames of each level by softmax; their sums go to a linear map.

    Without a positional encoding the weights cannot depend on when a frame comes.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
        n_queries: weighted sums taken of each level.
        key_dim: features in which queries and frames are compared.

    Source: section 4.2 of the report.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        n_queries: Annotated[int, Field(ge=1, le=1024)] = 4,
        key_dim: Annotated[int, Field(ge=1, le=1024)] = 32,
    ):
        super().__init__()
        self.keys = nn.ModuleList(nn.Linear(level_dim, key_dim) for level_dim in level_dims)
        self.queries = nn.Parameter(torch.randn(len(level_dims), n_queries, key_dim))
        self.map = nn.Linear(n_queries * sum(level_dims), dim)

    def weights(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> list[Float[Tensor, "batch query _frame_l"]]:
        """What each query gives to each frame of each level; sums to 1 over the frames."""
        scale = self.queries.shape[-1] ** -0.5
        return [
            torch.einsum("q k, b t k -> b q t", query, key(level) * scale).softmax(dim=-1)
            for level, key, query in zip(levels, self.keys, self.queries, strict=True)
        ]

    def forward(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch dim"]:
        sums = [
            rearrange(torch.einsum("b q t, b t d -> b q d", weight, level), "b q d -> b (q d)")
            for weight, level in zip(self.weights(levels), levels, strict=True)
        ]
        return self.map(torch.cat(sums, dim=-1))
