"""eRPE: what came how long before and after a frame, by a learned weight of each distance."""

from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn


class RelativePosition(nn.Module):
    """Appends to each frame what self-attention with a learned bias of distance makes of all.

    In the paper the output at frame i is the sum over j of (A_ij + w_(i-j)) x_j: softmax attention
    A, and a learned scalar for each distance that is added after the softmax, where it is not
    levelled. Two things differ, so that weights learned at one TR and frame rate serve at others:

    - w is a function of seconds, t_i - t_j: straight lines between ``n_knots`` learned values over
      ``reach_s`` on either side, zero from there on. As it is summed over time, it is a weight per
      second, multiplied by the seconds that a frame lasts.
    - Encoders follow with maps of their own, so frames are themselves queries, keys and values;
      queries and keys are standardised, and how sharply they are compared is learned.

    The bias starts at zero, as attention that cannot tell when a frame comes.

    Arguments
        n_heads: copies with a bias and sharpness of their own; each appends as many features as a
            frame has.
        n_knots: values of the bias that are learned.
        reach_s: distance in seconds at which the bias has fallen to zero.

    Source: Foumani et al. 2023, efficient relative position encoding.
    """

    def __init__(
        self,
        *,
        n_heads: Annotated[int, Field(ge=1, le=64)] = 1,
        n_knots: Annotated[int, Field(ge=1, le=1025)] = 31,
        reach_s: Annotated[float, Field(gt=0)] = 1.0,
    ):
        super().__init__()
        self.n_heads, self.reach_s = n_heads, reach_s
        knots_s = torch.linspace(-reach_s, reach_s, n_knots + 2)[1:-1]
        self.register_buffer("knots_s", knots_s, persistent=False)
        self.values = nn.Parameter(torch.zeros(n_heads, n_knots))
        self.log_sharpness = nn.Parameter(torch.zeros(n_heads))

    def out_dim(self, in_dim: int) -> int:
        """Features of a frame after encoding, given those before."""
        return in_dim * (1 + self.n_heads)

    def bias(self, distance_s: Float[Tensor, "frame other"]) -> Float[Tensor, "head frame other"]:
        """Weight per second of what lies ``distance_s`` seconds earlier (later, if negative)."""
        spacing_s = 2 * self.reach_s / (len(self.knots_s) + 1)
        nearness = 1 - (distance_s[..., None] - self.knots_s).abs() / spacing_s
        nearness = nearness.clamp(min=0).to(self.values.dtype)
        return torch.einsum("h k, i j k -> h i j", self.values, nearness)

    def attention(
        self, frames: Float[Tensor, "batch frame feature"]
    ) -> Float[Tensor, "batch head frame other"]:
        """What each frame takes of each other for its content; sums to 1 over the others."""
        alike = nn.functional.layer_norm(frames, frames.shape[-1:])
        scores = torch.einsum("b i d, b j d -> b i j", alike, alike) * frames.shape[-1] ** -0.5
        return (scores[:, None] * self.log_sharpness.exp()[:, None, None]).softmax(dim=-1)

    def forward(
        self,
        frames: Float[Tensor, "batch frame feature"],
        times_s: Float[Tensor, " frame"],
        tr_s: float,
    ) -> Float[Tensor, "batch frame encoded"]:
        # Frames are evenly spaced; one alone stands for its TR.
        n_frames = len(times_s)
        frame_s = (times_s[-1] - times_s[0]) / (n_frames - 1) if n_frames > 1 else tr_s
        bias = self.bias(times_s[:, None] - times_s) * frame_s
        weights = (self.attention(frames) + bias).to(frames.dtype)
        heads = torch.einsum("b h i j, b j d -> b h i d", weights, frames)
        heads = rearrange(heads, "b h i d -> b i (h d)")
        return torch.cat([frames, heads], dim=-1)
