"""Divided space-time attention: each patch looks along time, then across its own picture."""

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.attention import SoftmaxAttention, TransformerBlock, sinusoids
from subtr.encoders.video import PictureVector

_REACH_FRAMES = 8


class DividedBlock(nn.Module):
    """Attention over the frames of each patch, over the patches of each frame, then two maps.

    Arguments
        dim: features of a patch, a multiple of ``n_heads``.
        n_heads: attentions side by side, in time and in space.
        feedforward_dim: features between the two maps.
        dropout: fraction of features and attention weights dropped in training.
        rotary, reach_frames: how attention in time knows how far apart frames are, see
            `SoftmaxAttention`.

    A layer norm comes before each of the three, and each is added to what came in.

    Raises
        SettingsError: the features do not divide among the heads.

    Source: Bertasius et al. 2021 (TimeSformer), section 3, "divided space-time attention". The
    linear map that the authors' code adds after attention in time is left out.
    """

    def __init__(
        self,
        dim: int,
        n_heads: int,
        feedforward_dim: int,
        dropout: float = 0.0,
        rotary: bool = False,
        reach_frames: int = 0,
    ):
        super().__init__()
        self.time_norm = nn.LayerNorm(dim)
        self.time = SoftmaxAttention(
            dim, n_heads, rotary=rotary, reach_frames=reach_frames, dropout=dropout
        )
        self.dropout = nn.Dropout(dropout)
        self.space = TransformerBlock(
            SoftmaxAttention(dim, n_heads, dropout=dropout), dim, feedforward_dim, dropout=dropout
        )

    def forward(
        self, patches: Float[Tensor, "batch frame patch dim"]
    ) -> Float[Tensor, "batch frame patch dim"]:
        n_batch, n_frames = patches.shape[:2]
        tracks = rearrange(patches, "b t n d -> (b n) t d")
        tracks = tracks + self.dropout(self.time(self.time_norm(tracks)))
        pictures = rearrange(tracks, "(b n) t d -> (b t) n d", b=n_batch)
        return rearrange(self.space(pictures), "(b t) n d -> b t n d", t=n_frames)


class TimesformerEncoder(nn.Module):
    """Patches of pictures, blocks of divided attention, one vector a picture.

    Arguments
        height, width: pixels of a picture; zeros at the lower right fill the last patches.
        patch_pixels: side of a patch.
        dim: features of a patch.
        n_heads: attentions side by side.
        depth: blocks.
        feedforward_dim: features between the two maps of a block.
        hidden_dim: features of a picture in the result; 0 leaves out the linear map.
        space: "map", a linear map of all patches, or "mean" over patches first.
        positions: what tells frames apart: "absolute", sines and cosines of the frame's number, so
            that any number of frames is taken; "rotary", attention in time turns with how far apart
            two frames are; "relative", it adds a learned weight of each distance of up to 8 frames;
            "none", and time has no order. Where a patch lies is learned.
        dropout: fraction of features and attention weights dropped in training.

    Raises
        SettingsError: the features do not divide among the heads.

    Source: Bertasius et al. 2021 (TimeSformer). Without its class token, for each picture keeps a
    vector of its own; its learned numbers of frames are sines and cosines here.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        patch_pixels: Annotated[int, Field(ge=1, le=64)] = 8,
        dim: Annotated[int, Field(ge=1, le=8192)] = 64,
        n_heads: Annotated[int, Field(ge=1, le=256)] = 4,
        depth: Annotated[int, Field(ge=1, le=64)] = 2,
        feedforward_dim: Annotated[int, Field(ge=1, le=65536)] = 128,
        hidden_dim: Annotated[int, Field(ge=0, le=8192)] = 128,
        space: Literal["map", "mean"] = "map",
        positions: Literal["absolute", "rotary", "relative", "none"] = "absolute",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ):
        super().__init__()
        self.positions = positions
        rows, columns = (math.ceil(pixels / patch_pixels) for pixels in (height, width))
        self.added = (0, columns * patch_pixels - width, 0, rows * patch_pixels - height)
        self.patches = nn.Conv2d(3, dim, patch_pixels, stride=patch_pixels)
        self.places = nn.Parameter(0.02 * torch.randn(rows * columns, dim))
        of_time = positions == "rotary", _REACH_FRAMES if positions == "relative" else 0
        self.blocks = nn.Sequential(
            *(DividedBlock(dim, n_heads, feedforward_dim, dropout, *of_time) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(dim)
        self.vector = PictureVector(dim, rows, columns, hidden_dim, space)
        self.level_dims = [self.vector.out_dim]
        self.rows = rows

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Pictures per second."""
        return [input_frame_hz]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Infinite: all of the window, whatever its length."""
        return [math.inf]

    def forward(
        self, pictures: Float[Tensor, "batch frame rgb height width"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        n_frames = pictures.shape[1]
        patches = self.patches(F.pad(rearrange(pictures, "b t c h w -> (b t) c h w"), self.added))
        patches = rearrange(patches, "(b t) d r c -> b t (r c) d", t=n_frames) + self.places
        if self.positions == "absolute":
            patches = patches + sinusoids(n_frames, self.places)[:, None]
        latents = self.norm(self.blocks(patches))
        return [self.vector(rearrange(latents, "b t (r c) d -> b d t r c", r=self.rows))]
