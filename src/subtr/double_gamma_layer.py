"""A learned response of three numbers a parcel: when it peaks, how wide it is, how it dips after.

Fewer and smoother than a weight a lag, so that minutes of BOLD can tell them.
"""

import math
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float, Float64
from pydantic import Field
from torch import Tensor, nn

from subtr.bold.hrf import HRF_MODELS, VOLUME_FRACTION, hrf_kernel
from subtr.hrf_layer import HrfLayer
from subtr.timeline import HRF_DURATION_S

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
        model: Literal["spm", "glover"] = "spm",
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
