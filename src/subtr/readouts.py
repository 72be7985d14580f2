"""TR vectors to BOLD: heads of each subject, then the haemodynamic response."""

from collections.abc import Sequence
from typing import Literal

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from subtr.bold.hrf import HRF_DURATION_S
from subtr.hrf_layer import HrfLayer
from subtr.subject_heads import SubjectHeads


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
