"""Pooling that the content itself steers: a small network says how much each frame counts."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn


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

    def forward(
        self, frames: Float[Tensor, "batch frame dim"]
    ) -> Float[Tensor, "batch frame score"]:
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
        hidden_dim: Annotated[int, Field(ge=1, le=8192)] = 32,
        gated: bool = False,
    ):
        super().__init__()
        self.scores = nn.ModuleList(
            FrameScores(level_dim, 1 if weights == "shared" else level_dim, hidden_dim, gated)
            for level_dim in level_dims
        )
        self.map = nn.Linear(sum(level_dims), dim)

    def weights(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> list[Float[Tensor, "batch _frame_l _score_l"]]:
        """What each frame counts, once or for each feature; sums to 1 over a level's frames."""
        return [
            scores(level).softmax(dim=1) for scores, level in zip(self.scores, levels, strict=True)
        ]

    def forward(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch dim"]:
        means = [
            (weight * level).sum(dim=1)
            for weight, level in zip(self.weights(levels), levels, strict=True)
        ]
        return self.map(torch.cat(means, dim=-1))
