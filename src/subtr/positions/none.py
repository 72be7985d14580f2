"""No positional encoding, for encoders that know the order of frames by themselves."""

from jaxtyping import Float
from torch import Tensor, nn


class NoPosition(nn.Module):
    """Leaves the frames as they are."""

    def out_dim(self, in_dim: int) -> int:
        """Features of a frame after encoding, given those before."""
        return in_dim

    def forward(
        self,
        frames: Float[Tensor, "batch frame feature"],
        times_s: Float[Tensor, " frame"],
        tr_s: float,
    ) -> Float[Tensor, "batch frame encoded"]:
        return frames
