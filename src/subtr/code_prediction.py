"""Codes as classes: which one a TR has is told by logits, never by a distance between indices."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from subtr.losses import Diagnostics


class CodePredictor(nn.Module):
    """Features of a TR, such as its vector or its BOLD -> logits of each coarse codebook's codes.

    A codebook's code tells what the ones before left, so its logits also depend on the earlier
    codes: those given, or else the likeliest. All weights start at zero: every code as likely.

    Arguments
        dim: features of a TR.
        n_codebooks, size: codebooks, codes of each.
    """

    def __init__(self, dim: int, n_codebooks: int, size: int):
        super().__init__()
        self.size = size
        self.map = nn.Linear(dim, n_codebooks * size)
        self.given = nn.ModuleList(
            nn.Embedding(size, later * size) for later in range(n_codebooks - 1, 0, -1)
        )
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        features: Float[Tensor, "*batch dim"],
        codes: Int[Tensor, "*batch codebook"] | None = None,
    ) -> Float[Tensor, "*batch codebook class"]:
        """Logits. ``codes``: the targets, of which a codebook sees the earlier ones alone."""
        first, *rest = self.map(features).unflatten(-1, (-1, self.size)).unbind(-2)
        logits = [first]
        for index, given in enumerate(self.given):
            code = logits[-1].argmax(-1) if codes is None else codes[..., index]
            added = given(code).unflatten(-1, (-1, self.size)).unbind(-2)
            first, *rest = (logit + part for logit, part in zip(rest, added, strict=True))
            logits.append(first)
        return torch.stack(logits, dim=-2)


def code_loss(
    logits: Float[Tensor, "*batch codebook class"], codes: Int[Tensor, "*batch codebook"]
) -> tuple[Float[Tensor, ""], Diagnostics]:
    """Cross-entropy in nats, averaged over codebooks: codes are names, and no name is near another.

    Diagnostics: ``accuracy``, and ``chance accuracy``, the frequency of each codebook's commonest
    code here, both averaged over codebooks.
    """
    loss = F.cross_entropy(logits.flatten(0, -2), codes.flatten())
    accuracy = (logits.detach().argmax(-1) == codes).float().mean()
    frequencies = F.one_hot(codes.flatten(0, -2), logits.shape[-1]).float().mean(0)
    return loss, {"accuracy": accuracy, "chance accuracy": frequencies.amax(-1).mean()}
