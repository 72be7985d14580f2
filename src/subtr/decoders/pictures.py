"""Vectors of consecutive TRs to their pictures."""

from typing import Annotated

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.decoders.mel import LinearDecoder


class LinearPictureDecoder(LinearDecoder):
    """All pixels of a TR's pictures as a linear function of its vector; can start at PCA.

    Arguments
        dim: size of the vector.
        n_pictures: pictures of a TR.
        height, width: pixels.

    Returns pictures as they enter the encoder: (batch, tr, picture, rgb, height, width).
    """

    def __init__(self, dim: int, n_pictures: int, height: int, width: int):
        super().__init__(dim, n_pictures, 3 * height * width)
        self.height = height

    def forward(
        self, vectors: Float[Tensor, "batch tr dim"]
    ) -> Float[Tensor, "batch tr picture rgb height width"]:
        pixels = super().forward(vectors)
        return rearrange(pixels, "b t p (c h w) -> b t p c h w", c=3, h=self.height)


class PictureDecoder(nn.Module):
    """A linear map to small feature maps, then transposed convolutions that double them.

    Arguments
        dim: size of the vector.
        n_pictures: pictures of a TR.
        height, width: pixels.
        channels: features before each doubling.
        held: one picture from each vector, held for the whole TR.

    Returns pictures as they enter the encoder: (batch, tr, picture, rgb, height, width), 0 to 1.
    """

    def __init__(
        self,
        dim: int,
        n_pictures: int,
        height: int,
        width: int,
        *,
        channels: Annotated[
            tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=1, max_length=8)
        ] = (64, 32, 16),
        held: bool = False,
    ):
        super().__init__()
        self.n_pictures, self.n_drawn = n_pictures, 1 if held else n_pictures
        self.size = (height, width)
        scale = 2 ** len(channels)
        self.small = (channels[0], -(-height // scale), -(-width // scale))
        self.map = nn.Linear(dim, self.n_drawn * self.small[0] * self.small[1] * self.small[2])
        layers: list[nn.Module] = []
        for here, after in zip(channels, (*channels[1:], 3), strict=True):
            layers += [nn.GELU(), nn.ConvTranspose2d(here, after, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(
        self, vectors: Float[Tensor, "batch tr dim"]
    ) -> Float[Tensor, "batch tr picture rgb height width"]:
        n_batch, n_trs = vectors.shape[:2]
        small = self.map(vectors).reshape(-1, *self.small)
        pictures = self.layers(small)[..., : self.size[0], : self.size[1]]
        pictures = torch.sigmoid(pictures)
        pictures = rearrange(pictures, "(b t p) c h w -> b t p c h w", b=n_batch, t=n_trs)
        if self.n_drawn < self.n_pictures:
            pictures = repeat(pictures[:, :, 0], "b t ... -> b t p ...", p=self.n_pictures)
        return pictures
