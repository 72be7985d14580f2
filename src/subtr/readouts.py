"""TR vectors to BOLD: heads of each subject, then the haemodynamic response."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from subtr.responses import RESPONSES
from subtr.subject_heads import SubjectHeads


class BoldReadout(nn.Module):
    """TR vectors -> each subject's BOLD, through heads and the haemodynamic response.

    Arguments
        dim, subjects, n_parcels, embedding_dim: see `SubjectHeads`.
        tr_s: repetition time in seconds.
        response, options: a name from `subtr.responses`, and what it can be told.
        context_trs: how many TRs before and after, the vectors of which a head is given too.
    """

    def __init__(
        self,
        dim: int,
        subjects: Sequence[str],
        n_parcels: int,
        tr_s: float,
        response: str = "fir",
        options: Mapping[str, Any] | None = None,
        context_trs: tuple[int, int] = (0, 0),
        embedding_dim: int | None = None,
    ):
        super().__init__()
        self.dim, self.context_trs = dim, tuple(context_trs)
        head_dim = dim * (1 + sum(context_trs))
        self.heads = SubjectHeads(head_dim, subjects, n_parcels, embedding_dim)
        self.hrf = RESPONSES.build(response, n_parcels, tr_s, **(options or {}))

    @property
    def n_lead_trs(self) -> int:
        """TRs before a volume that its prediction looks back to."""
        return self.hrf.n_lead_trs + self.context_trs[0]

    @property
    def n_after_trs(self) -> int:
        """TRs after a volume that its prediction looks ahead to."""
        return self.context_trs[1]

    def forward(
        self, vectors: Float[Tensor, "batch tr dim"]
    ) -> dict[str, Float[Tensor, "batch tr parcel"]]:
        # The same response for all subjects of a parcel, so heads and response commute.
        activity = self.heads(self._with_neighbours(vectors))
        n_subjects = len(activity)
        bold = self.hrf(rearrange(activity, "s b t p -> (s b) t p"))
        bold = rearrange(bold, "(s b) t p -> s b t p", s=n_subjects)
        return dict(zip(self.heads.subjects, bold, strict=True))

    def head_features(self, vectors: Float[Tensor, "tr dim"]) -> Float[Tensor, "feature tr parcel"]:
        """What a head weighs to predict a parcel: its inputs, each through the parcel's response.

        ``sum over features of weight * feature`` is the BOLD that `forward` gives of such a head.
        """
        given = rearrange(self._with_neighbours(vectors[None]), "1 t d -> d t 1")
        n_parcels = self.heads.shared.out_features
        return self.hrf(given.expand(-1, -1, n_parcels))

    def _with_neighbours(self, vectors: Tensor) -> Tensor:
        """Each TR's vector between those of the TRs around it, the earliest first; 0 outside."""
        if not any(self.context_trs):
            return vectors
        padded = F.pad(vectors, (0, 0, *self.context_trs))
        windows = padded.unfold(1, 1 + sum(self.context_trs), 1)
        return rearrange(windows, "b t d k -> b t (k d)")
