"""A linear decoder whose film is drawn sharper by what it knows of how things move."""

from typing import Annotated

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.decoders.pictures import LinearPictureDecoder


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
        self.blocks = nn.ModuleList(
            nn.Conv3d(hidden_dim, hidden_dim, 3, padding=1) for _ in range(depth)
        )
        self.give = nn.ConvTranspose3d(hidden_dim, 3, **kernel)
        nn.init.zeros_(self.give.weight)
        nn.init.zeros_(self.give.bias)

    def forward(
        self, film: Float[Tensor, "batch rgb frame height width"]
    ) -> Float[Tensor, "batch rgb frame height width"]:
        height, width = film.shape[3:]
        added = (0, -width % self.patch_pixels, 0, -height % self.patch_pixels)
        latents = self.take(F.pad(film, (*added, 0, 0)))
        for block in self.blocks:
            latents = latents + block(F.gelu(latents))
        return film + self.give(F.gelu(latents))[..., :height, :width]


class RefinedPictureDecoder(nn.Module):
    """All pixels of a TR as a linear function of its vector, then refined TR by TR.

    Arguments
        dim: size of the vector.
        n_pictures, height, width: pictures of a TR and their pixels.
        hidden_dim, depth, patch_pixels: see `FilmRefinement`.

    Returns pictures as they enter the encoder: (batch, tr, picture, rgb, height, width).
    """

    def __init__(
        self,
        dim: int,
        n_pictures: int,
        height: int,
        width: int,
        *,
        hidden_dim: Annotated[int, Field(ge=1, le=1024)] = 48,
        depth: Annotated[int, Field(ge=0, le=32)] = 2,
        patch_pixels: Annotated[int, Field(ge=2, le=32, multiple_of=2)] = 4,
    ):
        super().__init__()
        self.linear = LinearPictureDecoder(dim, n_pictures, height, width)
        self.refinement = FilmRefinement(hidden_dim, depth, patch_pixels)

    def start_from(
        self, synthesis: Float[Tensor, "flat dim"], mean: Float[Tensor, " flat"]
    ) -> list[nn.Parameter]:
        """Sets the linear part: one column for each number of the vector. Gives what it set."""
        return self.linear.start_from(synthesis, mean)

    def forward(
        self, vectors: Float[Tensor, "batch tr dim"]
    ) -> Float[Tensor, "batch tr picture rgb height width"]:
        n_trs = vectors.shape[1]
        film = rearrange(self.linear(vectors), "b t p c h w -> (b t) c p h w")
        return rearrange(self.refinement(film), "(b t) c p h w -> b t p c h w", t=n_trs)
