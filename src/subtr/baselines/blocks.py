"""PCA of blocks of pictures, the rival that knows what moves by having seen it anywhere."""

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from subtr.baselines.reconstruction import PCARival
from subtr.baselines.window_moments import WindowMoments
from subtr.stimulus.pictures import Blocks

# The brightness that motion is seen in (ITU-R BT.601), as shares of red, green and blue.
_BRIGHTNESS = (0.299, 0.587, 0.114)
_MOST_BLOCKS = 20_000
_MOST_BYTES = 400_000_000


class BlockPCARival:
    """PCA of blocks at any place: numbers of each block, the same components for all.

    Arguments
        blocks: how pictures divide.
        n_floats: numbers kept of each TR, see `Blocks.ordered`.
        deviation_weight, grey_weight: what errors weigh, against 1, of what differs from the TR's
            mean picture, and of what changes brightness. Motion is seen in both.
        seed: of the choice of blocks to learn from.

    Fitted, it has of a block: ``analysis`` (feature, value) and ``offset`` (feature), which make
    numbers of variance 1; ``synthesis`` (value, feature) and ``mean`` (value), which make pixels.
    """

    def __init__(
        self,
        blocks: Blocks,
        n_floats: int,
        deviation_weight: float | int = 3.0,
        grey_weight: float | int = 3.0,
        seed: int = 0,
    ):
        self.blocks, self.n_floats, self.seed = blocks, n_floats, seed
        self.deviation_weight, self.grey_weight = deviation_weight, grey_weight

    def fit(
        self,
        frames: Float[Tensor, "tr picture rgb height width"],
        stretches: list[Int[np.ndarray, " _"]],
    ) -> "BlockPCARival":
        """Learns from blocks that begin at any picture, row and column of the stretches.

        Raises
            SettingsError: a block holds fewer components.
        """
        found = self._weighed(self._chosen(frames, stretches)).flatten(1)
        mean = found.mean(0)
        found -= mean
        moments = WindowMoments(len(found), mean, found.T @ found / max(len(found) - 1, 1))
        n_features = self.blocks.n_features(self.n_floats)
        pca = PCARival(n_features, self.seed).fit_moments(moments)
        components = torch.from_numpy(pca.components)
        spread = torch.from_numpy(pca.deviations).clamp_min(1e-6)
        # The weights are symmetric: what they do to components they do to pixels.
        shape = (self.blocks.n_frames, 3, self.blocks.block_height, self.blocks.block_width)
        self.analysis = self._weighed(components.unflatten(1, shape)).flatten(1) / spread[:, None]
        self.offset = -(components @ mean) / spread
        unweighed = self._weighed(components.unflatten(1, shape), -1).flatten(1)
        self.synthesis = unweighed.T * spread
        self.mean = self._weighed(mean.unflatten(0, shape)[None], -1).flatten()
        return self

    def encode(
        self, frames: Float[Tensor, "tr picture rgb height width"]
    ) -> Float[Tensor, "tr float"]:
        """The ``n_floats`` numbers of each TR."""
        codes = self.blocks.split(frames) @ self.analysis.T + self.offset
        return self.blocks.ordered(codes, self.n_floats)

    def reconstruct(
        self, frames: Float[Tensor, "tr picture rgb height width"]
    ) -> Float[Tensor, "tr picture rgb height width"]:
        """The pictures as the kept numbers give them back."""
        codes = self.blocks.placed(self.encode(frames))
        return self.blocks.join(codes @ self.synthesis.T + self.mean)

    def _chosen(self, frames: Tensor, stretches: list[np.ndarray]) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        blocks = self.blocks
        n_wanted = min(_MOST_BLOCKS, _MOST_BYTES // (4 * blocks.n_values))
        n_trs = sum(map(len, stretches))
        parts = []
        for trs in stretches:
            stream = blocks.filled(frames[torch.as_tensor(trs)]).flatten(0, 1)
            every = stream.unfold(0, blocks.n_frames, 1)
            every = every.unfold(2, blocks.block_height, 1).unfold(3, blocks.block_width, 1)
            size = (-(-n_wanted * len(trs) // n_trs),)
            picture, row, column = (
                torch.randint(every.shape[axis], size, generator=generator) for axis in (0, 2, 3)
            )
            parts.append(every[picture, :, row, column])
        return rearrange(torch.cat(parts), "n c f h w -> n f c h w")

    def _weighed(self, blocks: Tensor, power: int = 1) -> Tensor:
        """Blocks (n, frame, rgb, height, width) with their errors weighed; -1 undoes it."""
        mean = blocks.mean(1, keepdim=True)
        blocks = mean + self.deviation_weight**power * (blocks - mean)
        axis = torch.tensor(_BRIGHTNESS)
        axis = (axis / axis.norm())[:, None, None]
        grey = (blocks * axis).sum(2, keepdim=True) * axis
        return blocks + (self.grey_weight**power - 1) * grey
