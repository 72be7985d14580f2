"""A linear decoder whose spectrogram is drawn sharper by what it knows of sound."""

from typing import Annotated

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.decoders.mel import LinearDecoder

_FREQUENCY_CHANNEL = 1


class ResidualConvolutions(nn.ModuleList):
    """Convolutions of 3 x 3 patches, each of which adds to what it is given.

    Arguments
        hidden_dim: features of a patch.
        depth: how many.
    """

    def __init__(self, hidden_dim: int, depth: int):
        super().__init__(nn.Conv2d(hidden_dim, hidden_dim, 3, padding=1) for _ in range(depth))

    def forward(
        self, latents: Float[Tensor, "batch hidden frame feature"]
    ) -> Float[Tensor, "batch hidden frame feature"]:
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
