"""A film is drawn sharper by what convolutions know of how things move."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


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
