"""Pooling of a TR's frames: mean, Lanczos, adaptive, multi-scale and attention."""

from typing import Annotated, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.params import Depth, Dim, NFrames

Level = Float[Tensor, "batch frame dim"]

Levels = list[Float[Tensor, "batch _frame_l _dim_l"]]

Pooled = Float[Tensor, "batch feature"]

Vector = Float[Tensor, "batch dim"]


class MeanAggregator(nn.Module):
    """Mean over the frames of each level, then one linear map: the usual practice.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
    """

    def __init__(self, level_dims: list[int], level_frames: list[int], dim: int):
        super().__init__()
        self.map = nn.Linear(sum(level_dims), dim)

    def pooled(self, level: Level) -> Pooled:
        """What goes to the linear map of a level."""
        return level.mean(dim=1)

    def forward(self, levels: Levels) -> Vector:
        return self.map(torch.cat([self.pooled(level) for level in levels], dim=-1))


class NearestAggregator(MeanAggregator):
    """The frame of each level that is nearest to the middle of the TR, then one linear map.

    Arguments: see `MeanAggregator`.
    """

    def pooled(self, level: Level) -> Pooled:
        """The middle frame."""
        return level[:, level.shape[1] // 2]


class LanczosAggregator(MeanAggregator):
    """Each level low-passed by a Lanczos kernel and sampled in the middle of the TR; a linear map.

    Only the TR's own frames are used, so the kernel ends at the TR's borders; its weights sum to 1
    there, so that a constant stays itself. At the default ``cutoff`` a TR holds the main lobe and
    no more, which is `subtr.models.linear.lanczos_baseline` of that TR alone.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
        lobes: of the kernel, on either side.
        cutoff: of the low-pass, in multiples of the TR's Nyquist rate: at 4, what changes up to
            twice a TR passes. A level's own Nyquist rate is the highest that it can have.

    Source: Duchon 1979, Lanczos filtering in one and two dimensions.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        lobes: Depth = 3,
        cutoff: Annotated[float, Field(gt=0, le=4096)] = 1.0,
    ):
        super().__init__(level_dims, level_frames, dim)
        self.lobes, self.cutoff = lobes, cutoff

    def weights(self, n_frames: int) -> Float[Tensor, " frame"]:
        """What each of a TR's frames counts at mid-TR; sums to 1, and is negative in side lobes."""
        frame = torch.arange(n_frames, device=self.map.weight.device)
        middle_tr = (frame + 0.5) / n_frames - 0.5
        # Above the frames' own rate the kernel would fall between them and miss them all.
        at = middle_tr * min(self.cutoff, n_frames)
        kernel = torch.sinc(at) * torch.sinc(at / self.lobes) * (at.abs() < self.lobes)
        return (kernel / kernel.sum()).to(self.map.weight.dtype)

    def pooled(self, level: Level) -> Pooled:
        """The weighted sum of the frames."""
        return torch.einsum("t, b t d -> b d", self.weights(level.shape[1]), level)


class FrameScores(nn.Module):
    """Scores of frames, each from that frame alone: (batch, frame, dim) -> (batch, frame, score).

    Arguments
        dim: features of a frame.
        n_scores: scores a frame.
        hidden_dim: features between.
        gated: tanh features go on multiplied by sigmoid ones, which can shut each of them.

    Source: Ilse, Tomczak and Welling 2018, equations 8 and, gated, 9.
    """

    def __init__(self, dim: int, n_scores: int, hidden_dim: int, gated: bool):
        super().__init__()
        self.hidden = nn.Linear(dim, hidden_dim)
        self.gate = nn.Linear(dim, hidden_dim) if gated else None
        # An offset common to all frames would cancel in the softmax over them.
        self.score = nn.Linear(hidden_dim, n_scores, bias=False)

    def forward(self, frames: Level) -> Float[Tensor, "batch frame score"]:
        hidden = self.hidden(frames).tanh()
        if self.gate is not None:
            hidden = hidden * self.gate(frames).sigmoid()
        return self.score(hidden)


class AdaptiveAggregator(nn.Module):
    """Mean of each level's frames, weighted by what they hold; then one linear map.

    A frame's score comes from its content through a network with one hidden layer, and the weights
    are the scores' softmax over time. `attention` compares frames with learned queries in a linear
    space; here what makes a frame count may be any function of it, and may differ by feature.
    Without a positional encoding the weights cannot depend on when a frame comes.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
        weights: "shared" gives a frame one weight, "per_feature" one for each of its features.
        hidden_dim: features of the scoring network.
        gated: see `FrameScores`.

    Source: "adaptive pooling based on content", section 4.2 of the report; Ilse et al. 2018.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        weights: Literal["shared", "per_feature"] = "shared",
        hidden_dim: Dim = 32,
        gated: bool = False,
    ):
        super().__init__()
        self.scores = nn.ModuleList(
            FrameScores(level_dim, 1 if weights == "shared" else level_dim, hidden_dim, gated)
            for level_dim in level_dims
        )
        self.map = nn.Linear(sum(level_dims), dim)

    def weights(self, levels: Levels) -> list[Float[Tensor, "batch _frame_l _score_l"]]:
        """What each frame counts, once or for each feature; sums to 1 over a level's frames."""
        return [
            scores(level).softmax(dim=1) for scores, level in zip(self.scores, levels, strict=True)
        ]

    def forward(self, levels: Levels) -> Vector:
        means = [
            (weight * level).sum(dim=1)
            for weight, level in zip(self.weights(levels), levels, strict=True)
        ]
        return self.map(torch.cat(means, dim=-1))


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
        bins: Annotated[tuple[NFrames, ...], Field(min_length=1, max_length=16)] = (1, 2, 4, 8, 16),
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

    def averages(self, levels: Levels) -> list[Float[Tensor, "batch _bin_l _dim_l"]]:
        """Each level's bins, coarse first and in order of time."""
        return [
            torch.einsum(
                "n t, b t d -> b n d",
                bin_averages(bins, level.shape[1], level.device).to(level.dtype),
                level,
            )
            for bins, level in zip(self.level_bins, levels, strict=True)
        ]

    def forward(self, levels: Levels) -> Vector:
        flat = [rearrange(average, "b n d -> b (n d)") for average in self.averages(levels)]
        return self.map(torch.cat(flat, dim=-1))


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

    def weights(self, levels: Levels) -> list[Float[Tensor, "batch query _frame_l"]]:
        """What each query gives to each frame of each level; sums to 1 over the frames."""
        scale = self.queries.shape[-1] ** -0.5
        return [
            torch.einsum("q k, b t k -> b q t", query, key(level) * scale).softmax(dim=-1)
            for level, key, query in zip(levels, self.keys, self.queries, strict=True)
        ]

    def forward(self, levels: Levels) -> Vector:
        sums = [
            rearrange(torch.einsum("b q t, b t d -> b q d", weight, level), "b q d -> b (q d)")
            for weight, level in zip(self.weights(levels), levels, strict=True)
        ]
        return self.map(torch.cat(sums, dim=-1))
