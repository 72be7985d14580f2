"""What an encoding tutorial does to bring features to the TR: low-pass, then sample at mid-TR."""

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn


class LanczosAggregator(nn.Module):
    """Each level low-passed by a Lanczos kernel and sampled in the middle of the TR; a linear map.

    Only the TR's own frames are used, so the kernel ends at the TR's borders; its weights sum to 1
    there, so that a constant stays itself. At the default ``cutoff`` a TR holds the main lobe and
    no more, which is `subtr.baselines.lanczos_rival` of that TR alone.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
        lobes: of the kernel, on either side.
        cutoff: of the low-pass, in multiples of the TR's Nyquist rate: at 4, what changes up to
            twice a TR passes. A level's own Nyquist rate is the highest that it can have.

    Source: Duchon 1979, Lanczos filtering in one and two dimensions.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        lobes: Annotated[int, Field(ge=1, le=64)] = 3,
        cutoff: Annotated[float, Field(gt=0, le=4096)] = 1.0,
    ):
        super().__init__()
        self.lobes, self.cutoff = lobes, cutoff
        self.map = nn.Linear(sum(level_dims), dim)

    def weights(self, n_frames: int) -> Float[Tensor, " frame"]:
        """What each of a TR's frames counts at mid-TR; sums to 1, and is negative in side lobes."""
        frame = torch.arange(n_frames, device=self.map.weight.device)
        middle_tr = (frame + 0.5) / n_frames - 0.5
        # Above the frames' own rate the kernel would fall between them and miss them all.
        at = middle_tr * min(self.cutoff, n_frames)
        kernel = torch.sinc(at) * torch.sinc(at / self.lobes) * (at.abs() < self.lobes)
        return (kernel / kernel.sum()).to(self.map.weight.dtype)

    def forward(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch dim"]:
        samples = [
            torch.einsum("t, b t d -> b d", self.weights(level.shape[1]), level) for level in levels
        ]
        return self.map(torch.cat(samples, dim=-1))
