"""Coarse and fine side by side: the average over the TR beside averages over shorter bins of it."""

from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn


def bin_averages(
    bins: list[int], n_frames: int, device: torch.device | None = None
) -> Float[Tensor, "bin frame"]:
    """Weights that average frames over each of 1, 2, 4 ... equal bins of the TR, one row a bin.

    A frame that lies in two bins counts in each by the share of it that lies there, so bins are
    equally long at any number of frames. Rows sum to 1.
    """
    rows = []
    frame = torch.arange(n_frames, device=device)
    for n_bins in bins:
        # Borders in units of 1 / (n_frames * n_bins) of a TR are whole numbers, so exact.
        one = torch.arange(n_bins, device=device)[:, None]
        until = torch.minimum((frame + 1) * n_bins, (one + 1) * n_frames)
        overlap = until - torch.maximum(frame * n_bins, one * n_frames)
        rows.append(overlap.clamp(min=0) / n_frames)
    return torch.cat(rows)


class MultiScaleAggregator(nn.Module):
    """Averages of each level over bins of several lengths, in order of time; then one linear map.

    One bin is the usual average; n bins keep what is slower than n / 2 cycles a TR.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
        bins: into how many equal bins the TR is cut, one number a scale. A level with fewer frames
            than that is cut into its frames.

    Source: "multi-scale aggregation", section 4.2 of the report.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        bins: Annotated[
            tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1, max_length=16)
        ] = (1, 2, 4, 8, 16),
    ):
        super().__init__()
        self.level_bins = [
            sorted({min(n_bins, n_frames) for n_bins in bins}) for n_frames in level_frames
        ]
        sizes = [
            sum(n_bins) * level_dim
            for n_bins, level_dim in zip(self.level_bins, level_dims, strict=True)
        ]
        self.map = nn.Linear(sum(sizes), dim)

    def averages(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> list[Float[Tensor, "batch _bin_l _dim_l"]]:
        """Each level's bins, coarse first and in order of time."""
        return [
            torch.einsum(
                "n t, b t d -> b n d",
                bin_averages(bins, level.shape[1], level.device).to(level.dtype),
                level,
            )
            for bins, level in zip(self.level_bins, levels, strict=True)
        ]

    def forward(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch dim"]:
        flat = [rearrange(average, "b n d -> b (n d)") for average in self.averages(levels)]
        return self.map(torch.cat(flat, dim=-1))
