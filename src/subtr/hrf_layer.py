"""Activity of each TR to BOLD: a causal haemodynamic response as a layer."""

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
