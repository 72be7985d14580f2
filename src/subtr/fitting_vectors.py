"""Vectors that the decoder makes most of: synthesis tells what the encoder should have said."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


@torch.enable_grad()
def fitted_vectors(
    decoder: nn.Module,
    vectors: Float[Tensor, "tr dim"],
    frames: Float[Tensor, "tr frame *feature"],
    n_steps: int,
    step: float = 0.05,
) -> Float[Tensor, "tr dim"]:
    """Moves the vector of each TR so that the decoder draws that TR better.

    A decoder that is not linear has better vectors than those that an encoder gives at once. Each
    TR's vector is moved for its own frames alone, while the vectors of its neighbours, which the
    decoder draws the borders from, stay as the encoder gave them: what is known of a TR still comes
    from that TR. Weights do not change.

    Arguments
        decoder: vectors of consecutive TRs -> frames, see `subtr.decoders`.
        vectors: of consecutive TRs, from the encoder.
        frames: of the same TRs, as they entered the encoder.
        n_steps: of Adam; 0 gives the vectors back.
        step: its first step, in units of the vector; the last is near 0.

    Source: Kim et al. 2018 (semi-amortised inference), section 3, with the squared error as loss.
    """
    if n_steps == 0:
        return vectors.detach()
    given = F.pad(vectors.detach(), (0, 0, 1, 1))
    before, after = given[:-2], given[2:]
    found = vectors.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([found], lr=step)
    for index in range(n_steps):
        optimiser.param_groups[0]["lr"] = step * (1 - index / n_steps) ** 0.5
        drawn = decoder(torch.stack([before, found, after], dim=1))[:, 1]
        loss = (drawn - frames).square().sum()
        # Of the vectors alone: the decoder must not learn from the TRs that it is judged by.
        (found.grad,) = torch.autograd.grad(loss, [found])
        optimiser.step()
    return found.detach()
