"""Pictures of a TR drawn block by block, by the same weights everywhere."""

from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.decoders.film_refinement import FilmRefinement
from subtr.stimulus.pictures import Blocks

Side = Annotated[int, Field(ge=1, le=4096)]


class BlockPictureDecoder(nn.Module):
    """Each block of pixels as a linear function of its numbers, then refined over the blocks.

    Arguments
        dim: size of the vector, any; it is read in the order of `subtr.stimulus.pictures.Blocks`.
        n_pictures, height, width: pictures of a TR and their pixels.
        block: rows and columns of a block, which is as long as the TR.
        deviation_weight, grey_weight: see `subtr.baselines.BlockPCARival`, from which it can start.
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
