"""A haemodynamic response of given peak and width, and what it passes of each rate."""

import math

import numpy as np
from jaxtyping import Complex128, Float
from scipy.optimize import brentq
from scipy.special import lambertw

from subtr.bold.hrf import HRF_MODELS, DoubleGamma
from subtr.params import SettingsError

# Of the peak time; beyond, the gamma hardly has a peak, or most of it comes after 24 s.
_WIDTHS = (0.1, 1.8)


def response(peak_s: float | int, fwhm_s: float | int) -> DoubleGamma:
    """SPM's response with another peak time and width; its undershoot is stretched with the peak.

    Arguments
        peak_s: seconds to the peak of the first gamma; SPM's is 5.
        fwhm_s: full width of the first gamma at half of its height; SPM's is 5.3.

    Raises
        SettingsError: a width that no gamma of that peak has within the length of a response.
    """
    least_s, most_s = (width * peak_s for width in _WIDTHS)
    if not (peak_s > 0 and least_s <= fwhm_s <= most_s):
        raise SettingsError(
            f"fwhm_s = {fwhm_s:g} with peak_s = {peak_s:g}: expected a positive peak and a width "
            f"from {least_s:g} to {most_s:g} s; a wider response peaks later."
        )

    def excess(log_power):
        # Half height where ln(u) - u + 1 = -ln(2) / (shape - 1), u in units of the peak time.
        at = -math.exp(-1 - math.log(2) / math.exp(log_power))
        return (lambertw(at, 0) - lambertw(at, -1)).real * peak_s - fwhm_s

    power = math.exp(brentq(excess, math.log(0.2), math.log(2000.0)))
    spm = HRF_MODELS["spm"].with_peak(float(peak_s))
    return DoubleGamma(
        power + 1,
        peak_s / power,
        spm.undershoot_shape,
        spm.undershoot_scale_s,
        spm.undershoot_ratio,
    )


def transfer(
    model: DoubleGamma, rates_hz: Float[np.ndarray, " rate"]
) -> Complex128[np.ndarray, " rate"]:
    """The response's gain and phase at each rate; 1 at 0 Hz.

    A gamma density of shape k and scale s passes (1 + 2 pi i rate s)^-k. That `hrf` is cut off
    after 24 s is left out of account; it changes gains by about 0.01.
    """
    turns = 2j * np.pi * np.asarray(rates_hz, np.float64)
    peak = (1 + turns * model.peak_scale_s) ** -model.peak_shape
    under = (1 + turns * model.undershoot_scale_s) ** -model.undershoot_shape
    return (peak - model.undershoot_ratio * under) / (1 - model.undershoot_ratio)
