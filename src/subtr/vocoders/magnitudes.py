"""Magnitudes of a spectrum from its mel bands."""

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32

from subtr.stimulus.mel import MelSettings, mel_filters

_N_STEPS = 32


def magnitudes_of_mel(
    log_mel: Float[np.ndarray, "frame mel"], settings: MelSettings
) -> Float32[np.ndarray, "frequency frame"]:
    """Magnitudes of 0 and more whose mel bands are near to the given ones, in least squares.

    There are more frequencies than bands. Of all that fit, this is near the smallest: it begins at
    the pseudo-inverse without what is negative.

    Arguments
        log_mel: natural log of mel amplitude.
        settings: by which it was made.

    Source: accelerated projected gradient (Beck and Teboulle 2009, FISTA), with each band and each
    frequency in its own scale (Andersen and Kak 1984, SART), so that bands of any loudness count.
    """
    # A model's outliers must not overflow.
    mel = np.exp(np.clip(log_mel, -20.0, 10.0)).T.astype(np.float32)
    bands, inverse, height, reach = _scaled_filters(settings)
    wanted = mel / height
    found = ahead = np.maximum(inverse @ wanted, 0)
    momentum = 1.0
    for _ in range(_N_STEPS):
        step = bands.T @ (wanted - bands @ ahead)
        before, found = found, np.maximum(ahead + step / reach, 0)
        after = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = found + (momentum - 1) / after * (found - before)
        momentum = after
    return found


@lru_cache(maxsize=8)
def _scaled_filters(settings: MelSettings):
    """Filters that each sum to 1, their pseudo-inverse, their former sums, and those of columns."""
    filters = mel_filters(settings)
    # Some bands are narrower than a frequency, and see none.
    height = np.maximum(filters.sum(1, keepdims=True), 1e-8)
    bands = filters / height
    reach = np.maximum(bands.sum(0)[:, None], 1e-6)
    return bands, np.linalg.pinv(bands), height, reach
