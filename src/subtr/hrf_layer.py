"""Activity of each TR to BOLD: a causal convolution over TRs, each parcel by a response of its own.

What the responses of `subtr.responses` have in common.
"""

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Float64
from torch import Tensor, nn


class HrfLayer(nn.Module):
    """A response by lag for each parcel, fixed unless a subclass learns it.

    Arguments
        kernel: the response by lag, lag 0 first.
        n_parcels: channels.
        learned: whether each parcel's weights are parameters, started at ``kernel``. Fixed ones are
            not kept in checkpoints, so that these are not tied to a TR.
    """

    def __init__(
        self,
        kernel: Float64[np.ndarray, " lag"],
        n_parcels: int,
        tr_s: float | int,
        learned: bool = False,
    ):
        super().__init__()
        self.tr_s, self.n_lags = float(tr_s), len(kernel)
        # Lag 0 last, as a causal convolution reads it.
        weights = torch.tensor(kernel, dtype=torch.float32).flip(0).repeat(n_parcels, 1, 1)
        if learned:
            self.kernel = nn.Parameter(weights)
        else:
            self.register_buffer("kernel", weights, persistent=False)

    @property
    def n_lead_trs(self) -> int:
        """TRs before the first volume that its prediction looks back to."""
        return self.n_lags - 1

    def weights(self) -> Float[Tensor, "parcel 1 lag"]:
        """The response as it is now, the longest lag first."""
        return self.kernel

    def forward(self, activity: Float[Tensor, "batch tr parcel"]) -> Tensor:
        """BOLD of the same TRs (batch, tr, parcel); before the first, activity is taken as 0."""
        weights = self.weights()
        padded = F.pad(rearrange(activity, "b t p -> b p t"), (self.n_lead_trs, 0))
        bold = F.conv1d(padded, weights, groups=len(weights))
        return rearrange(bold, "b p t -> b t p")

    @torch.no_grad()
    def by_lag(self) -> Float64[np.ndarray, "parcel lag"]:
        """The response of each parcel, lag 0 first."""
        return self.weights()[:, 0].flip(1).double().cpu().numpy()

    def peak_times_s(self) -> Float64[np.ndarray, " parcel"]:
        """Seconds by which the largest response, up or down, comes after its activity.

        Between lags by the parabola through the largest weight and its neighbours.
        """
        found = np.abs(self.by_lag())
        top = found.argmax(axis=1)
        rows, padded = np.arange(len(found)), np.pad(found, ((0, 0), (1, 1)))
        before, at, after = (padded[rows, top + shift] for shift in (0, 1, 2))
        curved = 2 * at - before - after
        offset = np.where(curved > 1e-12, (after - before) / np.maximum(2 * curved, 1e-12), 0.0)
        return np.maximum(top + offset, 0.0) * self.tr_s
