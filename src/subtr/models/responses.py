"""Haemodynamic responses as layers: a TR's activity to the volumes that it is seen in, by name.

Each is an `HrfLayer`, a causal convolution over TRs; a further one needs a class and a line in
`RESPONSES`.
"""

import math
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Float64
from pydantic import Field
from torch import Tensor, nn

from subtr.bold.hrf import HRF_MODELS, VOLUME_FRACTION, bin_kernel, hrf, hrf_kernel, lag_kernel
from subtr.params import Registry
from subtr.timeline import HRF_DURATION_S

Model = Literal["spm", "glover"]

Seconds = Annotated[float | int, Field(ge=0, le=HRF_DURATION_S)]


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


# What responses of the cortex stay well within: peak and deviation of the first gamma in seconds,
# area of the undershoot relative to it.
BOUNDS = ((2.0, 10.0), (1.0, 5.0), (0.0, 0.6))

# Adam moves a parameter by about its learning rate a step, whatever the gradient: by this factor
# the peak can move seconds within the tens of steps of a training on minutes of BOLD.
_SPEED = 8.0

# The response is smooth, so that this many points a TR integrate it to single precision.
_NODES = 8


class DoubleGammaLayer(HrfLayer):
    """A double gamma a parcel, learned by its peak, its width and its undershoot.

    Three numbers are fewer and smoother than a weight a lag, so minutes of BOLD can tell them.
    Parameters are departures from the canonical response, so weight decay draws towards that. The
    sum over lags is 1, as of `hrf_kernel`; how strong a parcel responds is its head's affair.

    Arguments
        model: the response that all parcels start at, "spm" or "glover"; the undershoot's distance
            keeps its proportion to the peak.
        positive: without an undershoot, so nowhere below 0.
        wait_steps: steps of training before the response begins to learn. A head that starts with
            the wrong sign would else pull its response to where the undershoot fits, and stay.
    """

    def __init__(
        self,
        n_parcels: int,
        tr_s: float | int,
        *,
        model: Model = "spm",
        positive: bool = False,
        wait_steps: Annotated[int, Field(ge=0)] = 30,
    ):
        super().__init__(hrf_kernel(tr_s, model), n_parcels, tr_s)
        shape = HRF_MODELS[model]
        peak_s = (shape.peak_shape - 1) * shape.peak_scale_s
        dip_s = (shape.undershoot_shape - 1) * shape.undershoot_scale_s
        width_s = math.sqrt(shape.peak_shape) * shape.peak_scale_s
        dip_width_s = math.sqrt(shape.undershoot_shape) * shape.undershoot_scale_s
        self._dip = (dip_s / peak_s, dip_width_s / width_s)
        start = [peak_s, width_s] + [shape.undershoot_ratio] * (not positive)
        bounds = np.array(BOUNDS[: len(start)])
        share = (np.array(start) - bounds[:, 0]) / np.ptp(bounds, axis=1)
        times_s, steps_s = _nodes(self.n_lags, self.tr_s)
        fixed = {"_low": bounds[:, 0], "_range": np.ptp(bounds, axis=1)}
        fixed |= {"_start": np.log(share / (1 - share)), "_times_s": times_s, "_steps_s": steps_s}
        for name, values in fixed.items():
            buffer = torch.tensor(values, dtype=torch.float32)
            self.register_buffer(name, buffer, persistent=False)
        self.departure = nn.Parameter(torch.zeros(n_parcels, len(start)))
        self.wait_steps = wait_steps
        # Part of a checkpoint, so that a training that is resumed waits no second time.
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def shape(self) -> Float[Tensor, "parcel number"]:
        """Peak in seconds, deviation in seconds, and unless positive the share of undershoot."""
        waits = self.training and self.steps <= self.wait_steps
        departure = self.departure.detach() if waits else self.departure
        return self._low + self._range * torch.sigmoid(self._start + _SPEED * departure)

    def forward(self, activity: Float[Tensor, "batch tr parcel"]) -> Tensor:
        if self.training and torch.is_grad_enabled():
            self.steps += 1
        return super().forward(activity)

    def weights(self) -> Float[Tensor, "parcel 1 lag"]:
        risen = (self._density(self._times_s) * self._steps_s).sum(-1)
        return (risen / risen.sum(1, keepdim=True)).flip(1)[:, None]

    @torch.no_grad()
    def peak_times_s(self) -> Float64[np.ndarray, " parcel"]:
        """Seconds from an impulse of activity to the top of its response."""
        times_s = torch.arange(0.01, HRF_DURATION_S, 0.01, device=self._times_s.device)
        return times_s[self._density(times_s).argmax(1)].double().cpu().numpy()

    def _density(self, times_s: Float[Tensor, "*time"]) -> Float[Tensor, "parcel *time"]:
        across = (-1, *[1] * times_s.ndim)
        peak_s, width_s, *dip = (number.view(across) for number in self.shape().unbind(1))
        response = _gamma(times_s, peak_s, width_s)
        if dip:
            later, wider = self._dip
            response = response - dip[0] * _gamma(times_s, later * peak_s, wider * width_s)
        return response


def _gamma(times_s: Tensor, mode_s: Tensor, deviation_s: Tensor) -> Tensor:
    """Gamma density at ``times_s``, by where it is highest and its standard deviation."""
    # (shape - 1) * scale is the mode and shape * scale**2 the variance.
    scale_s = (torch.sqrt(mode_s**2 + 4 * deviation_s**2) - mode_s) / 2
    shape = mode_s / scale_s + 1
    logarithm = (shape - 1) * times_s.log() - times_s / scale_s
    return (logarithm - torch.lgamma(shape) - shape * scale_s.log()).exp()


def _nodes(n_lags: int, tr_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Times and weights (lag, node) that integrate a response over the TR of activity at each lag.

    Gauss-Legendre, as torch has no gradient of the incomplete gamma function by its shape.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    ends_s = np.minimum((np.arange(n_lags) + VOLUME_FRACTION) * tr_s, HRF_DURATION_S)
    starts_s = np.concatenate([[0.0], ends_s[:-1]])
    half_s = (ends_s - starts_s)[:, None] / 2
    return starts_s[:, None] + half_s * (nodes + 1), half_s * weights


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
