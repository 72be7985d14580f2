"""One linear map for all blocks of the finest level, and what deeper levels add to it."""

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.aggregators.conv import ConvReduction
from subtr.params import SettingsError
from subtr.stimulus.pictures import Blocks

Side = Annotated[int, Field(ge=1, le=4096)]


class BlockAggregator(nn.Module):
    """The finest level is cut into blocks as long as the TR; the same map makes numbers of each.

    A map of the whole window, `LinearAggregator`, must see each thing at every place to know it.
    This one knows by seeing it anywhere. It can do what PCA of blocks does and is started there.
    Deeper levels add to the vector through strided convolutions whose last map starts at zero.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector, any; its order is that of `subtr.stimulus.pictures.Blocks`.
        channels, height: how the features of the finest level lie, in the order channel, row,
            column; 3 and the rows of a picture, which ``keep_input`` makes the finest level. The
            features of sound are one row.
        block: rows and columns of a block.
        hidden_dim: features of the convolutions over deeper levels.
        last_frames: frames at which these hand over to a linear map.

    Raises
        SettingsError: the features are no multiple of ``channels`` x ``height``.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        channels: Side = 1,
        height: Side = 1,
        block: tuple[Side, Side] = (1, 8),
        hidden_dim: Annotated[int, Field(ge=1, le=8192)] = 32,
        last_frames: Annotated[int, Field(ge=1, le=4096)] = 8,
    ):
        super().__init__()
        if level_dims[0] % (channels * height):
            raise SettingsError(
                f"channels = {channels}, height = {height}: expected their product to divide the "
                f"{level_dims[0]} features of the finest level; for pictures give 3 and their "
                "rows, and keep_input."
            )
        width = level_dims[0] // (channels * height)
        self.blocks = Blocks(level_frames[0], channels, height, width, *block)
        self.dim = dim
        self.basis = nn.Linear(self.blocks.n_values, self.blocks.n_features(dim))
        self.reductions = nn.ModuleList(
            ConvReduction(level_dim, n_frames, hidden_dim, last_frames)
            for level_dim, n_frames in zip(level_dims[1:], level_frames[1:], strict=True)
        )
        self.maps = nn.ModuleList(nn.Linear(part.out_dim, dim) for part in self.reductions)
        for added in self.maps:
            nn.init.zeros_(added.weight)
            nn.init.zeros_(added.bias)

    @torch.no_grad()
    def start_from_blocks(
        self, analysis: Float[Tensor, "feature value"], offset: Float[Tensor, " feature"]
    ) -> list[nn.Parameter]:
        """Sets the map, a row for each number of a block, and what is added. Gives what it set."""
        self.basis.weight.copy_(analysis)
        self.basis.bias.copy_(offset)
        return [self.basis.weight, self.basis.bias]

    def forward(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch dim"]:
        blocks = self.blocks
        shape = (blocks.channels, blocks.height, blocks.width)
        vector = blocks.ordered(self.basis(blocks.split(levels[0].unflatten(2, shape))), self.dim)
        for level, reduction, added in zip(levels[1:], self.reductions, self.maps, strict=True):
            vector = vector + added(reduction(level))
        return vector
