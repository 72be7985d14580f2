"""Sound of which no two moments are alike, as noise is not and music and speech are."""

import numpy as np

RATE_HZ = 16_000


def gliding_tones(seconds, seed):
    """Twelve tones that glide and swell, each by itself, over faint noise."""
    rng = np.random.default_rng(seed)
    times_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    knots_s = np.arange(0, seconds + 0.3, 0.3)
    sound = 1e-3 * rng.standard_normal(len(times_s))
    for centre_hz in np.geomspace(100, 6000, 12):
        pitch_hz = np.interp(times_s, knots_s, centre_hz * rng.uniform(0.8, 1.25, len(knots_s)))
        loud = np.interp(times_s, knots_s, 0.05 * rng.uniform(0, 1, len(knots_s)) ** 3)
        sound += loud * np.sin(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ)
    return sound
