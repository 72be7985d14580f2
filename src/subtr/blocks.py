"""How the frames of a TR divide into blocks that are all treated alike, and what order they keep.

A block is as long as the TR: all frames of a few rows and columns.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Blocks:
    """Blocks of ``block_height`` by ``block_width`` pixels that cover every frame of a TR.

    Arguments
        n_frames, channels, height, width: of a TR and of a frame. Sound has one channel of one row.
        block_height, block_width: pixels of a block. Where frames are no multiple of them, their
            last rows and columns are repeated, and left out again when blocks are put together.

    The values of a block come in the order frame, channel, row, column. The numbers of a TR come in
    the order feature, row, column of blocks, so that fewer numbers leave out the last features.
    """

    n_frames: int
    channels: int
    height: int
    width: int
    block_height: int
    block_width: int

    @property
    def rows(self) -> int:
        """Blocks from top to bottom."""
        return -(-self.height // self.block_height)

    @property
    def columns(self) -> int:
        """Blocks from left to right."""
        return -(-self.width // self.block_width)

    @property
    def n_values(self) -> int:
        """Values of a block."""
        return self.n_frames * self.channels * self.block_height * self.block_width

    def n_features(self, dim: int) -> int:
        """Numbers of the block that keeps most, where ``dim`` numbers are kept of a TR."""
        return -(-dim // (self.rows * self.columns))

    def filled(
        self, film: Float[Tensor, "batch frame channel height width"]
    ) -> Float[Tensor, "batch frame channel _height _width"]:
        """Frames with their last row and column repeated up to whole blocks."""
        below = self.rows * self.block_height - self.height
        beside = self.columns * self.block_width - self.width
        flat = F.pad(film.flatten(0, 1), (0, beside, 0, below), mode="replicate")
        return flat.unflatten(0, film.shape[:2])

    def split(
        self, film: Float[Tensor, "batch frame channel height width"]
    ) -> Float[Tensor, "batch row column value"]:
        """The blocks of each film."""
        size = {"h": self.block_height, "w": self.block_width}
        return rearrange(self.filled(film), "b f c (i h) (j w) -> b i j (f c h w)", **size)

    def join(
        self, blocks: Float[Tensor, "batch row column value"]
    ) -> Float[Tensor, "batch frame channel height width"]:
        """Films put together from their blocks: undoes `split`."""
        size = {"f": self.n_frames, "c": self.channels, "h": self.block_height}
        film = rearrange(blocks, "b i j (f c h w) -> b f c (i h) (j w)", **size)
        return film[..., : self.height, : self.width]

    def ordered(
        self, codes: Float[Tensor, "batch row column feature"], dim: int
    ) -> Float[Tensor, "batch dim"]:
        """The first ``dim`` numbers of a TR, in their order."""
        return rearrange(codes, "b i j k -> b (k i j)")[:, :dim]

    def placed(
        self, vectors: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, "batch row column feature"]:
        """Each block's numbers, 0 where they were left out: undoes `ordered`."""
        n_blocks = self.rows * self.columns
        vectors = F.pad(vectors, (0, -vectors.shape[1] % n_blocks))
        return rearrange(vectors, "b (k i j) -> b i j k", i=self.rows, j=self.columns)
