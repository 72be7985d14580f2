"""A vector read as a small film of features, from which convolutions draw the whole one."""

from typing import Annotated

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.errors import SettingsError


class GridPictureDecoder(nn.Module):
    """Numbers of a TR as features of every picture's patches; 3D convolutions make pictures.

    The same weights draw every place and picture, so a thing that moves is learned once for all
    places, and minutes of film are enough. A linear map of the vector has to learn each place.

    Arguments
        dim: size of the vector, a multiple of pictures x rows x columns of patches; it is read in
            the order picture, feature, row, column.
        n_pictures, height, width: pictures of a TR and their pixels.
        patch_pixels: side of a patch, a multiple of 2.
        hidden_dim: features of a patch.
        depth: residual convolutions of 3 pictures and 3 x 3 patches.

    Returns pictures as they enter the encoder: (batch, tr, picture, rgb, height, width).

    Raises
        SettingsError: the vector does not divide among the patches of all pictures.
    """

    def __init__(
        self,
        dim: int,
        n_pictures: int,
        height: int,
        width: int,
        *,
        patch_pixels: Annotated[int, Field(ge=2, le=64, multiple_of=2)] = 4,
        hidden_dim: Annotated[int, Field(ge=1, le=1024)] = 32,
        depth: Annotated[int, Field(ge=0, le=32)] = 2,
    ):
        super().__init__()
        self.size, self.n_pictures = (height, width), n_pictures
        self.grid = tuple(-(-pixels // patch_pixels) for pixels in (height, width))
        n_patches = n_pictures * self.grid[0] * self.grid[1]
        if dim % n_patches:
            raise SettingsError(
                f"floats_per_tr = {dim}: expected a multiple of {n_patches}, the {self.grid[0]} x "
                f"{self.grid[1]} patches of {patch_pixels} pixels in {n_pictures} pictures; change "
                "it or patch_pixels."
            )
        self.open = nn.Conv3d(dim // n_patches, hidden_dim, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Conv3d(hidden_dim, hidden_dim, 3, padding=1) for _ in range(depth)
        )
        # Patches overlap by half on every side, so that no border shows.
        self.give = nn.ConvTranspose3d(
            hidden_dim,
            3,
            (3, 2 * patch_pixels, 2 * patch_pixels),
            (1, patch_pixels, patch_pixels),
            (1, patch_pixels // 2, patch_pixels // 2),
        )
        nn.init.constant_(self.give.bias, 0.5)  # the middle of the range of colours

    def forward(
        self, vectors: Float[Tensor, "batch tr dim"]
    ) -> Float[Tensor, "batch tr picture rgb height width"]:
        n_trs, (rows, columns) = vectors.shape[1], self.grid
        small = rearrange(
            vectors,
            "b t (p c h w) -> (b t) c p h w",
            p=self.n_pictures,
            h=rows,
            w=columns,
        )
        latents = self.open(small)
        for block in self.blocks:
            latents = latents + block(F.gelu(latents))
        film = self.give(latents)[..., : self.size[0], : self.size[1]]
        return rearrange(film, "(b t) c p h w -> b t p c h w", t=n_trs)
