"""Vectors of consecutive TRs to their log-mel frames."""

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn


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
