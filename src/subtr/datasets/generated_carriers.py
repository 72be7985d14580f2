"""Sounds that last: music, tones, noise and ripples, to be modulated afterwards."""

import math

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter

RATE_HZ = 16_000
CARRIERS = ("speech", "music", "tones", "noise", "ripple")


def carrier_sound(
    carrier: str, n_samples: int, rng: np.random.Generator, *, bpm: float | int = 0
) -> Float[np.ndarray, " sample"]:
    """A carrier of ``CARRIERS`` other than speech, at ``RATE_HZ``; music needs its bpm."""
    if carrier == "music":
        return _music(n_samples, rng, bpm)
    return {"tones": _tones, "noise": _noise, "ripple": _ripple}[carrier](n_samples, rng)


def _music(n_samples, rng, bpm):
    """A chord and a tick of noise on every beat."""
    beat = 60 / bpm * RATE_HZ
    sound = np.zeros(n_samples)
    root = rng.uniform(110, 220)
    for index in range(math.ceil(n_samples / beat)):
        first = round(index * beat)
        time_s = np.arange(min(round((index + 1) * beat), n_samples) - first) / RATE_HZ
        steps = rng.choice([0, 2, 4, 5, 7, 9, 11, 12, 14, 16], 3, replace=False)
        partials = root * 2 ** (steps[:, None] / 12) * np.arange(1, 13)
        chord = np.zeros(len(time_s))
        for hz, strength in zip(partials.ravel(), np.tile(1 / np.arange(1, 13), 3), strict=True):
            chord += strength * np.sin(2 * np.pi * hz * time_s)
        tick = 2.0 * rng.standard_normal(len(time_s)) * np.exp(-time_s / 0.015)
        sound[first : first + len(time_s)] = chord * np.exp(-time_s / 0.3) + tick
    return sound


def _tones(n_samples, rng):
    time_s = np.arange(n_samples) / RATE_HZ
    f0_hz, slope = rng.uniform(90, 400), rng.uniform(0.3, 1.2)
    order = np.arange(1, int(7600 / f0_hz) + 1)
    phases = rng.uniform(0, 2 * np.pi, len(order))
    sound = np.zeros(n_samples)
    for k, phase in zip(order, phases, strict=True):
        sound += k**-slope * np.sin(2 * np.pi * k * f0_hz * time_s + phase)
    return sound


def _noise(n_samples, rng):
    """Noise with a random tilt from brown-like to blue-like."""
    pole = rng.uniform(-0.6, 0.9)
    return lfilter([1.0], [1.0, -pole], rng.standard_normal(n_samples))


def _ripple(n_samples, rng):
    """Moving ripples (Kowalski, Depireux and Shamma 1996) over tones spaced evenly in octaves."""
    time_s = np.arange(n_samples) / RATE_HZ
    velocity_hz, density = rng.choice([-1, 1]) * rng.uniform(2, 10), rng.choice([0.4, 0.8, 1.2])
    octaves = np.linspace(0, 5, 80)
    phases = rng.uniform(0, 2 * np.pi, len(octaves))
    sound = np.zeros(n_samples)
    for octave, phase in zip(octaves, phases, strict=True):
        ripple = np.sin(2 * np.pi * (velocity_hz * time_s + density * octave))
        sound += np.exp(0.9 * ripple) * np.sin(2 * np.pi * 230 * 2**octave * time_s + phase)
    return sound
