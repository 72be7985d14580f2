"""Temporal transformer: every frame of the window attends to every other."""

import math
from typing import Annotated, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.attention import SoftmaxAttention, sinusoids, transformer_blocks


class TransformerEncoder(nn.Module):
    """A linear map of each frame, then blocks of softmax attention over the frames of the window.

    Arguments
        in_dim: features of a frame.
        hidden_dim: features of a frame of the result; the report has 512.
        n_heads: attentions side by side in a block; the report has 8.
        depth: blocks; the report has 4.
        feedforward_dim: features between the two maps of a block; the report has 2048.
        positions: what tells frames apart by their number in the window: "absolute", sines and
            cosines added to the features; "rotary", queries and keys turned, so that attention
            depends on how far apart frames are; "none" leaves it to `subtr.positions`, which gives
            seconds.
        pre_norm: layer norm before attention and maps, and at the end; otherwise after each sum, as
            in the report.
        activation: "gelu", or "relu" as in the report.
        causal: a frame sees nothing that comes after it.
        dropout: fraction of features and attention weights dropped in training.

    Raises
        SettingsError: the features do not divide among the heads.

    Source: sections 1.2 and 6.4 of the report; Vaswani et al. 2017. Its aggregation is an
    aggregator's work here.
    """

    def __init__(
        self,
        in_dim: int,
        *,
        hidden_dim: Annotated[int, Field(ge=1, le=8192)] = 64,
        n_heads: Annotated[int, Field(ge=1, le=256)] = 4,
        depth: Annotated[int, Field(ge=1, le=64)] = 2,
        feedforward_dim: Annotated[int, Field(ge=1, le=65536)] = 256,
        positions: Literal["absolute", "rotary", "none"] = "absolute",
        pre_norm: bool = True,
        activation: Literal["relu", "gelu"] = "gelu",
        causal: bool = False,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ):
        super().__init__()
        self.causal, self.positions, self.level_dims = causal, positions, [hidden_dim]
        self.input = nn.Linear(in_dim, hidden_dim)
        attentions = [
            SoftmaxAttention(
                hidden_dim, n_heads, causal=causal, rotary=positions == "rotary", dropout=dropout
            )
            for _ in range(depth)
        ]
        self.blocks = transformer_blocks(
            attentions,
            hidden_dim,
            feedforward_dim,
            pre_norm=pre_norm,
            activation=activation,
            dropout=dropout,
        )

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Frames per second of each level."""
        return [input_frame_hz]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Infinite: all of the window, whatever its length; up to the frame itself if causal."""
        return [math.inf]

    def forward(
        self, frames: Float[Tensor, "batch frame feature"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        latents = self.input(frames)
        if self.positions == "absolute":
            latents = latents + sinusoids(latents.shape[1], latents)
        return [self.blocks(latents)]
