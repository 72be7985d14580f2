"""The haemodynamic response: causal, in seconds, exact for activity that is constant in steps."""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float64
from scipy.signal import upfirdn
from scipy.stats import gamma

from subtr.params import SettingsError
from subtr.timeline import HRF_DURATION_S

# The response to a box of activity is the difference of two integrals of the double gamma, and the
# integral of a gamma density is known. So a response sampled at the volumes' times does not depend
# on the step that activity is given in, nor on the TR.

# A volume's slices are acquired all through its TR; their mean time is its middle, which is also
# what slice timing correction refers to by default in fMRIPrep.
VOLUME_FRACTION = 0.5


@dataclass(frozen=True)
class DoubleGamma:
    """Response to an impulse: a gamma density minus ``undershoot_ratio`` of a later one.

    Arguments
        peak_shape, peak_scale_s: shape and scale of the first gamma; it peaks at
            ``(peak_shape - 1) * peak_scale_s`` seconds.
        undershoot_shape, undershoot_scale_s: the same of the undershoot.
        undershoot_ratio: area of the undershoot relative to the first gamma.

    Raises
        SettingsError: a value that would not give a response that rises from zero.
    """

    peak_shape: float
    peak_scale_s: float
    undershoot_shape: float
    undershoot_scale_s: float
    undershoot_ratio: float

    def __post_init__(self):
        if self.peak_shape <= 1 or self.undershoot_shape <= 1:
            raise SettingsError(f"{self}: both shapes must exceed 1, or the response jumps at 0 s.")
        if self.peak_scale_s <= 0 or self.undershoot_scale_s <= 0:
            raise SettingsError(f"{self}: both scales must be positive seconds.")
        if not 0 <= self.undershoot_ratio < 1:
            raise SettingsError(f"{self}: expected an undershoot_ratio from 0 to below 1.")

    def density(self, times_s: float | np.ndarray) -> float | np.ndarray:
        """The response per second, before it is cut off and scaled."""
        return self._less_undershoot(gamma.pdf, times_s)

    def integral(self, times_s: float | np.ndarray) -> float | np.ndarray:
        """Integral of ``density`` from 0 to each time."""
        return self._less_undershoot(gamma.cdf, times_s)

    def _less_undershoot(self, of, times_s):
        peak = of(times_s, self.peak_shape, scale=self.peak_scale_s)
        under = of(times_s, self.undershoot_shape, scale=self.undershoot_scale_s)
        return peak - self.undershoot_ratio * under

    def with_peak(self, peak_s: float) -> "DoubleGamma":
        """The same response stretched in time so that its first gamma peaks at ``peak_s``."""
        stretch = peak_s / ((self.peak_shape - 1) * self.peak_scale_s)
        scales = {"peak_scale_s": self.peak_scale_s, "undershoot_scale_s": self.undershoot_scale_s}
        return replace(self, **{name: scale_s * stretch for name, scale_s in scales.items()})


# The parameters of SPM12 (spm_hrf) and, for Glover 1999, those that nilearn uses, so that results
# can be compared with theirs.
HRF_MODELS = {
    "spm": DoubleGamma(6.0, 1.0, 16.0, 1.0, 1 / 6),
    "glover": DoubleGamma(6.0 / 0.9, 0.9, 12.0 / 0.9, 0.9, 0.48),
}


def hrf(
    times_s: Float[np.ndarray, "*times"],
    model: str | DoubleGamma = "spm",
    duration_s: float = HRF_DURATION_S,
) -> Float64[np.ndarray, "*times"]:
    """Response to an impulse of unit area at 0 s, per second.

    Zero before 0 s and after ``duration_s``; its integral is 1, so that activity that stays at 1
    leads to BOLD that settles at 1.

    Arguments
        times_s: seconds after the impulse, any shape.
        model: ``"spm"``, ``"glover"`` or a ``DoubleGamma``.
        duration_s: length of the response in seconds.

    Raises
        SettingsError: unknown model, or a duration that ends before the response is positive.

    Source: SPM12 ``spm_hrf``; Glover, NeuroImage 9 (1999) as parametrised in nilearn.
    """
    shape, total = _shape_and_total(model, duration_s)
    times_s = np.asarray(times_s, dtype=np.float64)
    inside = (times_s >= 0) & (times_s <= duration_s)
    return np.where(inside, shape.density(times_s), 0.0) / total


def hrf_kernel(
    tr_s: float,
    model: str | DoubleGamma = "spm",
    duration_s: float = HRF_DURATION_S,
    volume_fraction: float = VOLUME_FRACTION,
) -> Float64[np.ndarray, " lag"]:
    """Response, volume by volume, to activity of 1 that lasts from 0 s to one TR.

    Element ``l`` is the BOLD at ``(l + volume_fraction) * tr_s`` seconds after the box begins.
    Nothing is approximated (no oversampling is needed) and the sum is 1 for every TR.

    Arguments
        tr_s: repetition time in seconds.
        model, duration_s: as in ``hrf``.
        volume_fraction: where in its TR a volume is sampled, 0 (its start) to 1 (its end).

    Raises
        SettingsError: see ``hrf``; or a ``volume_fraction`` outside of 0 to 1.
    """
    weights, n_ahead = _step_weights(tr_s, tr_s, model, duration_s, volume_fraction)
    # A volume at the very end of its TR belongs to the step that begins there, one later.
    return weights[n_ahead:]


def convolve_hrf(
    activity: Float[np.ndarray, "step drive"],
    step_s: float,
    tr_s: float,
    model: str | DoubleGamma = "spm",
    duration_s: float = HRF_DURATION_S,
    volume_fraction: float = VOLUME_FRACTION,
) -> Float64[np.ndarray, "tr drive"]:
    """BOLD of activity that is constant within steps much shorter than a TR.

    Arguments
        activity: activity in each step; step 0 begins at the start of TR 0, and before it there
            is none.
        step_s: length of a step in seconds; a whole number of them makes a TR.
        tr_s, model, duration_s, volume_fraction: as in ``hrf_kernel``.

    Returns BOLD at each volume's time, ``floor(n_steps * step_s / tr_s)`` volumes.

    Raises
        SettingsError: see ``hrf_kernel``; or steps that do not fill a TR evenly.
    """
    steps_per_tr = round(tr_s / step_s)
    if steps_per_tr < 1 or not math.isclose(steps_per_tr * step_s, tr_s, rel_tol=1e-6):
        raise SettingsError(
            f"step_s = {step_s:g} s does not divide tr_s = {tr_s:g} s evenly; "
            f"use {tr_s / max(steps_per_tr, 1):g} s."
        )
    step_s = tr_s / steps_per_tr
    n_trs = len(activity) // steps_per_tr
    weights, n_ahead = _step_weights(step_s, tr_s, model, duration_s, volume_fraction)
    # upfirdn yields every steps_per_tr-th sample of the causal convolution; the pause in front
    # puts the step in which each volume is sampled on one of these.
    n_pause = -n_ahead % steps_per_tr
    first = (n_ahead + n_pause) // steps_per_tr
    delayed = np.concatenate([np.zeros((n_pause, activity.shape[1])), activity])
    return upfirdn(weights, delayed, down=steps_per_tr, axis=0)[first : first + n_trs]


def _shape_and_total(model: str | DoubleGamma, duration_s: float) -> tuple[DoubleGamma, float]:
    if isinstance(model, str):
        if model not in HRF_MODELS:
            raise SettingsError(f"HRF model {model!r} is unknown: choose from {list(HRF_MODELS)}.")
        model = HRF_MODELS[model]
    total = float(model.integral(duration_s))
    if not total > 0.1:
        raise SettingsError(f"duration_s = {duration_s:g}: the response takes at least 10 seconds.")
    return model, total


def _step_weights(step_s, tr_s, model, duration_s, volume_fraction):
    """Weights of the steps before a volume, and the index in its TR of the step it falls in.

    ``weights[i]`` is the response of the volume to the step ``i`` before the one it falls in.
    """
    if not 0 <= volume_fraction <= 1:
        raise SettingsError(f"volume_fraction = {volume_fraction!r}: expected from 0 to 1.")
    shape, total = _shape_and_total(model, duration_s)
    sample_s = volume_fraction * tr_s
    n_ahead = math.floor(sample_s / step_s + 1e-9)
    since_latest_s = max(sample_s - n_ahead * step_s, 0.0)
    n_weights = math.ceil((duration_s - since_latest_s) / step_s - 1e-9) + 1
    since_start_s = since_latest_s + np.arange(-1, n_weights) * step_s
    risen = shape.integral(np.clip(since_start_s, 0.0, duration_s)) / total
    return np.diff(risen), n_ahead


def lag_kernel(lag_s: float | int, tr_s: float | int) -> Float64[np.ndarray, " lag"]:
    """Weights by which a delay of ``lag_s`` is split between the two whole lags around it.

    Exact for activity that is constant within each TR and BOLD that averages each TR: of a TR
    moved by lag_s, a part falls into one TR and the rest into the next.

    Raises
        SettingsError: a lag below 0 s or above the length of the response.
    """
    return bin_kernel(lag_s, lag_s, tr_s)


def bin_kernel(
    from_s: float | int, to_s: float | int, tr_s: float | int
) -> Float64[np.ndarray, " lag"]:
    """Weights of the mean over all delays from ``from_s`` to ``to_s``, each as in `lag_kernel`.

    So it is the mean, over that time before a volume, of the TR values joined by straight lines,
    whatever the TR. Element ``l`` is the weight of ``l`` TRs before.

    Raises
        SettingsError: a bin that begins before 0 s, ends before it begins or is not within the
            response's length.
    """
    if not 0 <= from_s <= to_s <= HRF_DURATION_S:
        said = f"lag_s = {from_s!r}" if from_s == to_s else f"from_s = {from_s!r}, to_s = {to_s!r}"
        raise SettingsError(
            f"{said}: expected seconds by which BOLD comes later than the stimulus, from 0 to "
            f"{HRF_DURATION_S:g}, the first no later than the last. The future cannot cause BOLD."
        )
    lags = np.arange(math.ceil(to_s / tr_s - 1e-9) + 1)
    if to_s - from_s < 1e-6:
        return np.maximum(1 - np.abs(from_s / tr_s - lags), 0.0)
    risen = _triangle_integral(to_s / tr_s - lags) - _triangle_integral(from_s / tr_s - lags)
    return risen * tr_s / (to_s - from_s)


def _triangle_integral(x: np.ndarray) -> np.ndarray:
    """Integral up to x of max(1 - |x|, 0)."""
    x = np.clip(x, -1.0, 1.0)
    return np.where(x < 0, (1 + x) ** 2 / 2, 1 - (1 - x) ** 2 / 2)
