"""TR vectors to the parcels of each subject: what is shared, and what is a subject's own."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class SubjectHeads(nn.Module):
    """Linear maps from a TR vector to parcels: one shared, and each subject's departure from it.

    Departures start at zero, so weight decay draws subjects together. They are free, or, with an
    embedding, sums of a few departures that all subjects have in common, weighted by a handful of
    numbers a subject: a subject then costs ``embedding_dim`` weights, not ``dim * n_parcels``.

    Arguments
        dim: size of the TR vector.
        subjects: names; any text.
        n_parcels: of every subject.
        embedding_dim: numbers a subject; None for free departures.

    Source: subject embeddings as in Defossez et al. 2023, Decoding speech perception from
    non-invasive brain recordings (arXiv:2208.12266, section 2), here of a linear head.
    """

    def __init__(
        self,
        dim: int,
        subjects: Sequence[str],
        n_parcels: int,
        embedding_dim: int | None = None,
    ):
        super().__init__()
        self.subjects = list(subjects)
        self.shared = nn.Linear(dim, n_parcels, bias=False)
        nn.init.normal_(self.shared.weight, std=1 / math.sqrt(dim))
        if embedding_dim is None:
            self.own = nn.Parameter(torch.zeros(len(self.subjects), n_parcels, dim))
        else:
            # Were both zero, neither would ever learn; embeddings alone tell subjects apart.
            self.embedding = nn.Parameter(torch.empty(len(self.subjects), embedding_dim))
            nn.init.normal_(self.embedding, std=1 / math.sqrt(embedding_dim))
            self.basis = nn.Parameter(torch.zeros(embedding_dim, n_parcels, dim))

    @property
    def departures(self) -> Float[Tensor, "subject parcel dim"]:
        """What each subject's map has beyond the shared one."""
        if hasattr(self, "basis"):
            return torch.einsum("s k, k p d -> s p d", self.embedding, self.basis)
        return self.own

    def forward(
        self, vectors: Float[Tensor, "batch tr dim"]
    ) -> Float[Tensor, "subject batch tr parcel"]:
        own = torch.einsum("b t d, s p d -> s b t p", vectors, self.departures)
        return self.shared(vectors) + own
