"""A delay that is no whole number of TRs, as weights over lags: causal, and of sum 1."""

import math

import numpy as np
from jaxtyping import Float64

from subtr.params import SettingsError
from subtr.timeline import HRF_DURATION_S


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
