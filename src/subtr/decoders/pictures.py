"""From one vector a TR to its pictures."""

from typing import Annotated

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.decoders.mel import LinearDecoder, ResidualConvolutions
from subtr.stimulus.pictures import Blocks


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


class FilmRefinement(nn.Module):
    """Adds to a film what residual 3D convolutions over its patches make of it.

    It begins as the identity. A thing that moves looks the same wherever it is, so weights shared
    over time and pixels learn from minutes what a linear map would need every place for.

    Arguments
        hidden_dim: features of a patch.
        depth: residual convolutions of 3 pictures and 3 x 3 patches.
        patch_pixels: side of a patch; even.
    """

    def __init__(self, hidden_dim: int, depth: int, patch_pixels: int):
        super().__init__()
        self.patch_pixels = patch_pixels
        # Patches overlap by half on every side, so that no border shows.
        size, half = 2 * patch_pixels, patch_pixels // 2
        kernel = {
            "kernel_size": (3, size, size),
            "stride": (1, patch_pixels, patch_pixels),
            "padding": (1, half, half),
        }
        self.take = nn.Conv3d(3, hidden_dim, **kernel)
        self.blocks = ResidualConvolutions(hidden_dim, depth, nn.Conv3d)
        self.give = nn.ConvTranspose3d(hidden_dim, 3, **kernel)
        nn.init.zeros_(self.give.weight)
        nn.init.zeros_(self.give.bias)

    def forward(
        self, film: Float[Tensor, "batch rgb frame height width"]
    ) -> Float[Tensor, "batch rgb frame height width"]:
        height, width = film.shape[3:]
        added = (0, -width % self.patch_pixels, 0, -height % self.patch_pixels)
        latents = self.blocks(self.take(F.pad(film, (*added, 0, 0))))
        return film + self.give(F.gelu(latents))[..., :height, :width]


Side = Annotated[int, Field(ge=1, le=4096)]


class BlockPictureDecoder(nn.Module):
    """Each block of pixels as a linear function of its numbers, then refined over the blocks.

    Arguments
        dim: size of the vector, any; it is read in the order of `subtr.stimulus.pictures.Blocks`.
        n_pictures, height, width: pictures of a TR and their pixels.
        block: rows and columns of a block, which is as long as the TR.
        deviation_weight, grey_weight: see `subtr.models.linear.BlockPCABaseline`, from which it can
            start.
        hidden_dim, depth, patch_pixels: see `FilmRefinement`; a ``hidden_dim`` of 0 leaves it out.

    Returns pictures as they enter the encoder: (batch, tr, picture, rgb, height, width).
    """

    def __init__(
        self,
        dim: int,
        n_pictures: int,
        height: int,
        width: int,
        *,
        block: tuple[Side, Side] = (9, 8),
        deviation_weight: Annotated[float | int, Field(gt=0, le=1000)] = 3.0,
        grey_weight: Annotated[float | int, Field(gt=0, le=1000)] = 3.0,
        hidden_dim: Annotated[int, Field(ge=0, le=1024)] = 32,
        depth: Annotated[int, Field(ge=0, le=32)] = 2,
        patch_pixels: Annotated[int, Field(ge=2, le=32, multiple_of=2)] = 4,
    ):
        super().__init__()
        self.blocks = Blocks(n_pictures, 3, height, width, *block)
        self.weights = deviation_weight, grey_weight
        self.map = nn.Linear(self.blocks.n_features(dim), self.blocks.n_values)
        self.refinement = (
            FilmRefinement(hidden_dim, depth, patch_pixels) if hidden_dim else nn.Identity()
        )

    @torch.no_grad()
    def start_from_blocks(
        self, synthesis: Float[Tensor, "value feature"], mean: Float[Tensor, " value"]
    ) -> list[nn.Parameter]:
        """Sets the map: one column for each number of a block. Gives what it set."""
        self.map.weight.copy_(synthesis)
        self.map.bias.copy_(mean)
        return [self.map.weight, self.map.bias]

    def forward(
        self, vectors: Float[Tensor, "batch tr dim"]
    ) -> Float[Tensor, "batch tr picture rgb height width"]:
        n_trs = vectors.shape[1]
        film = self.blocks.join(self.map(self.blocks.placed(vectors.flatten(0, 1))))
        film = self.refinement(rearrange(film, "b p c h w -> b c p h w"))
        return rearrange(film, "(b t) c p h w -> b t p c h w", t=n_trs)
