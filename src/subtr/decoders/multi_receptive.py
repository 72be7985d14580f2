"""A linear decoder whose spectrogram is redrawn by convolutions that see several spans of time."""

from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.decoders.refined import RedrawnDecoder, SpectrogramRefinement
from subtr.params import SettingsError

_SLOPE = 0.1
_FREQUENCY_KERNEL = 3

_Kernel = Annotated[int, Field(ge=1, le=31)]
_Dilation = Annotated[int, Field(ge=1, le=64)]


class DilatedResiduals(nn.ModuleList):
    """Convolutions of one length, ever further apart in time, each of which adds to its input.

    Arguments
        hidden_dim: features.
        kernel: patches in time; odd, so that nothing moves. In frequency it is always 3.
        dilations: of each convolution, in time alone.

    Source: Kong, Kim and Bae 2020, HiFi-GAN, section 2.2 and Appendix A.1, its "ResBlock2".
    """

    def __init__(self, hidden_dim: int, kernel: int, dilations: tuple[int, ...]):
        super().__init__(
            nn.Conv2d(
                hidden_dim,
                hidden_dim,
                (kernel, _FREQUENCY_KERNEL),
                padding=(kernel // 2 * dilation, _FREQUENCY_KERNEL // 2),
                dilation=(dilation, 1),
            )
            for dilation in dilations
        )

    @property
    def reach(self) -> int:
        """Patches before, and after, that a patch is drawn from."""
        return sum(one.dilation[0] * (one.kernel_size[0] // 2) for one in self)

    def forward(
        self, latents: Float[Tensor, "batch hidden frame feature"]
    ) -> Float[Tensor, "batch hidden frame feature"]:
        for convolution in self:
            latents = latents + convolution(F.leaky_relu(latents, _SLOPE))
        return latents


class MultiReceptiveField(nn.ModuleList):
    """The mean of residual blocks of several lengths, each with dilations of its own.

    The paper's text sums the blocks; their mean, as its published code has it, is the same but for
    a factor that keeps the scale of the latents whatever the number of blocks.

    Arguments
        hidden_dim: features.
        kernels: length of each block.
        dilations: of the convolutions in every block.

    Source: Kong, Kim and Bae 2020, HiFi-GAN, section 2.2, "multi-receptive field fusion".
    """

    def __init__(self, hidden_dim: int, kernels: tuple[int, ...], dilations: tuple[int, ...]):
        super().__init__(DilatedResiduals(hidden_dim, kernel, dilations) for kernel in kernels)

    @property
    def reach(self) -> int:
        """Patches before, and after, that a patch is drawn from."""
        return max(block.reach for block in self)

    def forward(
        self, latents: Float[Tensor, "batch hidden frame feature"]
    ) -> Float[Tensor, "batch hidden frame feature"]:
        return torch.stack([block(latents) for block in self]).mean(0)


class MultiReceptiveDecoder(RedrawnDecoder):
    """`RedrawnDecoder` by convolutions that see a syllable and a word at once.

    Arguments
        dim, n_frames, n_features: see `RedrawnDecoder`.
        hidden_dim, patch: see `SpectrogramRefinement`.
        kernels, dilations: see `MultiReceptiveField`; kernels are odd, in patches.
        depth: how many such fusions follow one another.

    Raises
        SettingsError: a kernel is even.
    """

    def __init__(
        self,
        dim: int,
        n_frames: int,
        n_features: int,
        *,
        hidden_dim: Annotated[int, Field(ge=1, le=2048)] = 48,
        kernels: Annotated[tuple[_Kernel, ...], Field(min_length=1, max_length=8)] = (3, 5, 7),
        dilations: Annotated[tuple[_Dilation, ...], Field(min_length=1, max_length=8)] = (1, 3),
        depth: Annotated[int, Field(ge=1, le=16)] = 1,
        patch: Annotated[int, Field(ge=2, le=64, multiple_of=2)] = 4,
    ):
        if any(kernel % 2 == 0 for kernel in kernels):
            raise SettingsError(f"kernels = {kernels}: expected odd numbers of patches.")
        blocks = nn.Sequential(
            *(MultiReceptiveField(hidden_dim, kernels, dilations) for _ in range(depth))
        )
        refinement = SpectrogramRefinement(hidden_dim, patch, blocks)
        super().__init__(dim, n_frames, n_features, refinement)

    @property
    def reach_frames(self) -> int:
        """Frames before, and after, that can change a frame of the linear reconstruction."""
        patch = self.refinement.patch
        blocks = sum(fusion.reach for fusion in self.refinement.blocks)
        # Patches overlap by half on either side, where they are taken and where they are given.
        return patch * (blocks + 1) + patch - 1
