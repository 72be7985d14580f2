"""Temporal kernels of its own for every number of the vector, as parcels may differ in timing."""

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.aggregators.kernels import time_cosines
from subtr.params import SettingsError


class ParcelKernelAggregator(nn.Module):
    """Every output has its own smooth kernels over the TR, and its own feature weights for each.

    An output's weight of (frame, feature) is a sum of ``rank`` products kernel x features in each
    level: it can listen to one thing early and to another late, with ``n_cosines`` + features
    numbers a product instead of frames x features. The first kernel of every output starts as the
    average over the TR, further ones as cosines of 1, 2, ... half waves. What follows may mix the
    outputs of the vector; where it is the response itself they are the parcels'.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
        rank: products of kernel and features for each output and level.
        n_cosines: cosines over the TR that kernels are made of.

    Raises
        SettingsError: higher rank than cosines.

    Source: "different weights for different brain regions", section 4.2 of the report.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        rank: Annotated[int, Field(ge=1, le=256)] = 1,
        n_cosines: Annotated[int, Field(ge=1, le=256)] = 8,
    ):
        super().__init__()
        if rank > n_cosines:
            raise SettingsError(f"rank = {rank}: expected at most n_cosines, {n_cosines}")
        self.n_cosines = n_cosines
        start = torch.eye(rank, n_cosines).repeat(len(level_dims), dim, 1, 1)
        self.weights = nn.Parameter(start)
        bound = (rank * sum(level_dims)) ** -0.5
        self.features = nn.ParameterList(
            torch.empty(dim, rank, level_dim).uniform_(-bound, bound) for level_dim in level_dims
        )
        self.bias = nn.Parameter(torch.zeros(dim))

    def kernels(self, n_frames: int) -> Float[Tensor, "level dim rank frame"]:
        """The kernels of every output at the frames of a TR, of which there may be any number."""
        return self.weights @ self._cosines(n_frames)

    def forward(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch dim"]:
        vector = self.bias
        for weights, features, level in zip(self.weights, self.features, levels, strict=True):
            # Cosines first: they are fewer than frames, and the same for all outputs.
            parts = torch.einsum("c t, b t d -> b c d", self._cosines(level.shape[1]), level)
            parts = torch.einsum("b c d, o r d -> b o r c", parts, features)
            vector = vector + torch.einsum("b o r c, o r c -> b o", parts, weights)
        return vector

    def _cosines(self, n_frames: int) -> Tensor:
        cosines = time_cosines(self.n_cosines, n_frames, self.weights.device)
        return cosines.to(self.weights.dtype) / n_frames
