"""From one vector a TR to its log-mel frames."""

from typing import Annotated

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.params import SettingsError


class HeldDecoder(nn.Module):
    """One frame from each vector, held for the whole TR: all that an average can tell.

    Arguments
        dim: size of the vector.
        n_frames, n_features: frames of a TR, features of a frame.
    """

    def __init__(self, dim: int, n_frames: int, n_features: int):
        super().__init__()
        self.n_frames = n_frames
        self.map = nn.Linear(dim, n_features)

    def forward(
        self, vectors: Float[Tensor, "batch tr dim"]
    ) -> Float[Tensor, "batch tr frame feature"]:
        return repeat(self.map(vectors), "b t m -> b t f m", f=self.n_frames)


class LinearDecoder(nn.Module):
    """All frames of a TR as a linear function of its vector; can start at PCA.

    Arguments
        dim: size of the vector.
        n_frames, n_features: frames of a TR, features of a frame.
    """

    def __init__(self, dim: int, n_frames: int, n_features: int):
        super().__init__()
        self.n_frames = n_frames
        self.map = nn.Linear(dim, n_frames * n_features)

    @torch.no_grad()
    def start_from(
        self, synthesis: Float[Tensor, "flat dim"], mean: Float[Tensor, " flat"]
    ) -> list[nn.Parameter]:
        """Sets the map: one column for each number of the vector. Gives what it set."""
        self.map.weight.copy_(synthesis)
        self.map.bias.copy_(mean)
        return [self.map.weight, self.map.bias]

    def forward(
        self, vectors: Float[Tensor, "batch tr dim"]
    ) -> Float[Tensor, "batch tr frame feature"]:
        return rearrange(self.map(vectors), "b t (f m) -> b t f m", f=self.n_frames)


_FREQUENCY_CHANNEL = 1


class ResidualConvolutions(nn.ModuleList):
    """Convolutions of 3 x 3 patches, each of which adds to what it is given.

    Arguments
        hidden_dim: features of a patch.
        depth: how many.
        convolution: of two dimensions, or of three for 3 x 3 x 3 patches of a film.
    """

    def __init__(self, hidden_dim: int, depth: int, convolution: type[nn.Module] = nn.Conv2d):
        super().__init__(convolution(hidden_dim, hidden_dim, 3, padding=1) for _ in range(depth))

    def forward(
        self, latents: Float[Tensor, "batch hidden *patch"]
    ) -> Float[Tensor, "batch hidden *patch"]:
        for convolution in self:
            latents = latents + convolution(F.gelu(latents))
        return latents


class SpectrogramRefinement(nn.Module):
    """Adds to a spectrogram what residual 2D convolutions over its patches make of it.

    It begins as the identity. Sound of one pitch looks much like that of another, so weights
    shared over time and frequency learn from minutes what a linear map would need hours for.

    Arguments
        hidden_dim: features of a patch.
        patch: frames and features of a patch; even.
        blocks: the residual convolutions, (batch, hidden_dim, frame, feature) to the same.
    """

    def __init__(self, hidden_dim: int, patch: int, blocks: nn.Module):
        super().__init__()
        self.patch = patch
        # Patches overlap by half on every side, so that no border shows.
        overlapping = {"kernel_size": 2 * patch, "stride": patch, "padding": patch // 2}
        self.take = nn.Conv2d(1 + _FREQUENCY_CHANNEL, hidden_dim, **overlapping)
        self.blocks = blocks
        self.give = nn.ConvTranspose2d(hidden_dim, 1, **overlapping)
        nn.init.zeros_(self.give.weight)
        nn.init.zeros_(self.give.bias)

    def forward(
        self, spectrogram: Float[Tensor, "batch frame feature"]
    ) -> Float[Tensor, "batch frame feature"]:
        n_frames, n_features = spectrogram.shape[1:]
        padded = F.pad(spectrogram, (0, -n_features % self.patch, 0, -n_frames % self.patch))
        frequency = torch.linspace(-1, 1, padded.shape[2], device=padded.device)
        latents = self.take(torch.stack([padded, frequency.expand_as(padded)], dim=1))
        added = self.give(F.gelu(self.blocks(latents)))[:, 0]
        return spectrogram + added[:, :n_frames, :n_features]


class TurnTaking(nn.ModuleList):
    """Members that learn in turns, a batch each, and afterwards answer by their mean.

    Members that have seen other batches err in other places, so that their mean errs less than
    each: most where there is little to learn from.

    Source: Lakshminarayanan et al. 2017, Simple and scalable predictive uncertainty estimation
    using deep ensembles, section 2.4, with batches shared out instead of learned from by all.
    """

    def forward(self, given: Tensor) -> Tensor:
        if self.training:
            # From torch's generator, which is seeded in each epoch of training.
            return self[int(torch.randint(len(self), ()))](given)
        return torch.stack([member(given) for member in self]).mean(0)


class RedrawnDecoder(nn.Module):
    """All frames of a TR as a linear function of its vector, then redrawn across TR borders.

    Arguments
        dim: size of the vector.
        n_frames, n_features: frames of a TR, features of a frame.
        refinement: spectrogram (batch, frame, feature) to the same.

    Consecutive TRs are redrawn together: a frame near the border of its TR is also drawn from the
    numbers of the next one.
    """

    def __init__(self, dim: int, n_frames: int, n_features: int, refinement: nn.Module):
        super().__init__()
        self.linear = LinearDecoder(dim, n_frames, n_features)
        self.refinement = refinement

    def start_from(
        self, synthesis: Float[Tensor, "flat dim"], mean: Float[Tensor, " flat"]
    ) -> list[nn.Parameter]:
        """Sets the linear part: one column for each number of the vector. Gives what it set."""
        return self.linear.start_from(synthesis, mean)

    def forward(
        self, vectors: Float[Tensor, "batch tr dim"]
    ) -> Float[Tensor, "batch tr frame feature"]:
        n_trs = vectors.shape[1]
        whole = rearrange(self.linear(vectors), "b t f m -> b (t f) m")
        return rearrange(self.refinement(whole), "b (t f) m -> b t f m", t=n_trs)


class RefinedDecoder(RedrawnDecoder):
    """`RedrawnDecoder` by residual convolutions of one size.

    Arguments
        dim, n_frames, n_features: see `RedrawnDecoder`.
        hidden_dim, patch: see `SpectrogramRefinement`.
        depth: see `ResidualConvolutions`.
        members: refinements, see `TurnTaking`; each learns from its share of the batches.
    """

    def __init__(
        self,
        dim: int,
        n_frames: int,
        n_features: int,
        *,
        hidden_dim: Annotated[int, Field(ge=1, le=2048)] = 64,
        depth: Annotated[int, Field(ge=0, le=64)] = 4,
        patch: Annotated[int, Field(ge=2, le=64, multiple_of=2)] = 4,
        members: Annotated[int, Field(ge=1, le=32)] = 1,
    ):
        refinements = [
            SpectrogramRefinement(hidden_dim, patch, ResidualConvolutions(hidden_dim, depth))
            for _ in range(members)
        ]
        refinement = refinements[0] if members == 1 else TurnTaking(refinements)
        super().__init__(dim, n_frames, n_features, refinement)


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
