"""TR vectors to BOLD: a causal haemodynamic layer, a shared head and one for each subject."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from subtr.bold.hrf import HRF_DURATION_S, hrf_kernel


class HrfLayer(nn.Module):
    """Causal convolution over TRs, a response of its own for each parcel.

    Arguments
        n_parcels: channels.
        tr_s: repetition time in seconds.
        response: "canonical", the SPM response, exact at any TR and fixed; "fir", one learned
            weight a lag and parcel, started at the canonical response.
        duration_s: length of the response; nothing older reaches a volume.
    """

    def __init__(
        self,
        n_parcels: int,
        tr_s: float,
        response: Literal["canonical", "fir"] = "fir",
        duration_s: float = HRF_DURATION_S,
    ):
        super().__init__()
        kernel = torch.tensor(hrf_kernel(tr_s, duration_s=duration_s), dtype=torch.float32)
        # Lag 0 last, as a causal convolution reads it.
        kernel = kernel.flip(0).repeat(n_parcels, 1, 1)
        if response == "fir":
            self.kernel = nn.Parameter(kernel)
        else:
            self.register_buffer("kernel", kernel, persistent=False)

    @property
    def n_lead_trs(self) -> int:
        """TRs before the first volume that its prediction looks back to."""
        return self.kernel.shape[-1] - 1

    def forward(self, activity: Float[Tensor, "batch tr parcel"]) -> Tensor:
        """BOLD of the same TRs (batch, tr, parcel); before the first, activity is taken as 0."""
        padded = F.pad(rearrange(activity, "b t p -> b p t"), (self.n_lead_trs, 0))
        bold = F.conv1d(padded, self.kernel, groups=len(self.kernel))
        return rearrange(bold, "b p t -> b t p")


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


class BoldReadout(nn.Module):
    """TR vectors -> each subject's BOLD, through heads and the haemodynamic response.

    Arguments
        dim, subjects, n_parcels: see `SubjectHeads`.
        tr_s, response, duration_s: see `HrfLayer`.
    """

    def __init__(
        self,
        dim: int,
        subjects: Sequence[str],
        n_parcels: int,
        tr_s: float,
        response: Literal["canonical", "fir"] = "fir",
        duration_s: float = HRF_DURATION_S,
    ):
        super().__init__()
        self.heads = SubjectHeads(dim, subjects, n_parcels)
        self.hrf = HrfLayer(n_parcels, tr_s, response, duration_s)

    def forward(
        self, vectors: Float[Tensor, "batch tr dim"]
    ) -> dict[str, Float[Tensor, "batch tr parcel"]]:
        # The same response for all subjects of a parcel, so heads and response commute.
        activity = self.heads(vectors)
        n_subjects = len(activity)
        bold = self.hrf(rearrange(activity, "s b t p -> (s b) t p"))
        bold = rearrange(bold, "(s b) t p -> s b t p", s=n_subjects)
        return dict(zip(self.heads.subjects, bold, strict=True))
