"""From a TR's activity to the volumes that it is seen in: the responses of a readout, by name.

Each is an `HrfLayer`, a causal convolution over TRs. A further one needs a class and a line here.
"""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float, Float64
from pydantic import Field
from torch import Tensor

from subtr.bold.hrf import HRF_MODELS, bin_kernel, hrf, hrf_kernel, lag_kernel
from subtr.double_gamma_layer import DoubleGammaLayer
from subtr.hrf_layer import HrfLayer
from subtr.params import Registry
from subtr.timeline import HRF_DURATION_S

__all__ = ["RESPONSES", "AppliedLayer", "BinLayer", "CanonicalLayer", "FirLayer", "LagLayer"]

Model = Literal["spm", "glover"]
Seconds = Annotated[float | int, Field(ge=0, le=HRF_DURATION_S)]


class CanonicalLayer(HrfLayer):
    """The response of SPM or of Glover, exact at any TR and fixed."""

    def __init__(self, n_parcels: int, tr_s: float | int, *, model: Model = "spm"):
        super().__init__(hrf_kernel(tr_s, model), n_parcels, tr_s)
        times_s = np.arange(0, HRF_DURATION_S, 0.01)
        self._peak_s = float(times_s[hrf(times_s, model).argmax()])

    def peak_times_s(self) -> Float64[np.ndarray, " parcel"]:
        return np.full(len(self.kernel), self._peak_s)


class FirLayer(HrfLayer):
    """One learned weight a lag and parcel, started at the canonical response.

    Arguments
        model: where it starts.
        positive: no weight below 0; it starts without the undershoot then.
    """

    def __init__(
        self, n_parcels: int, tr_s: float | int, *, model: Model = "spm", positive: bool = False
    ):
        start = replace(HRF_MODELS[model], undershoot_ratio=0.0) if positive else model
        super().__init__(hrf_kernel(tr_s, start), n_parcels, tr_s, learned=True)
        self.positive = positive

    def weights(self) -> Float[Tensor, "parcel 1 lag"]:
        # Not cut off at 0, where a weight would have no gradient to come back by.
        return self.kernel.abs() if self.positive else self.kernel


class LagLayer(HrfLayer):
    """Activity ``lag_s`` later and otherwise unchanged, split linearly between whole TRs."""

    def __init__(self, n_parcels: int, tr_s: float | int, *, lag_s: Seconds = 5.0):
        super().__init__(lag_kernel(lag_s, tr_s), n_parcels, tr_s)
        self.lag_s = float(lag_s)

    def peak_times_s(self) -> Float64[np.ndarray, " parcel"]:
        return np.full(len(self.kernel), self.lag_s)


class BinLayer(HrfLayer):
    """The mean activity from ``to_s`` to ``from_s`` seconds before a volume.

    Source: "temporal binning with lag", section 4.2 of the report.
    """

    def __init__(
        self, n_parcels: int, tr_s: float | int, *, from_s: Seconds = 4.0, to_s: Seconds = 6.0
    ):
        super().__init__(bin_kernel(from_s, to_s, tr_s), n_parcels, tr_s)
        self.middle_s = (from_s + to_s) / 2

    def peak_times_s(self) -> Float64[np.ndarray, " parcel"]:
        """The middle of the bin, all of which counts alike."""
        return np.full(len(self.kernel), self.middle_s)


class AppliedLayer(HrfLayer):
    """Activity itself, for BOLD that was shifted or deconvolved to lie beside its stimulus."""

    def __init__(self, n_parcels: int, tr_s: float | int):
        super().__init__(np.ones(1), n_parcels, tr_s)

    def forward(self, activity: Float[Tensor, "batch tr parcel"]) -> Tensor:
        return activity


RESPONSES = Registry(
    "response",
    {
        "canonical": CanonicalLayer,
        "lag": LagLayer,
        "bin": BinLayer,
        "fir": FirLayer,
        "kernel": DoubleGammaLayer,
        "applied": AppliedLayer,
    },
)
