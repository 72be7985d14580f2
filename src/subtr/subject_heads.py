"""TR vectors to the parcels of each subject: what is shared, and what is a subject's own."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class SubjectHeads(nn.Module):
    """Linear maps from a TR vector to parcels: one shared, and each subject's departure from it.

    Departures start at zero, so weight decay draws subjects together.

    Arguments
        dim: size of the TR vector.
        subjects: names; any text.
        n_parcels: of every subject.
    """

    def __init__(self, dim: int, subjects: Sequence[str], n_parcels: int):
        super().__init__()
        self.subjects = list(subjects)
        self.shared = nn.Linear(dim, n_parcels, bias=False)
        nn.init.normal_(self.shared.weight, std=1 / math.sqrt(dim))
        self.own = nn.Parameter(torch.zeros(len(self.subjects), n_parcels, dim))

    def forward(
        self, vectors: Float[Tensor, "batch tr dim"]
    ) -> Float[Tensor, "subject batch tr parcel"]:
        own = torch.einsum("b t d, s p d -> s b t p", vectors, self.own)
        return self.shared(vectors) + own
