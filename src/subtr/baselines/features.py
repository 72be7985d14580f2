"""Per-TR features of the sound that the usual pipelines feed to a ridge regression."""

import numpy as np
from jaxtyping import Float, Float64


def mean_mel(
    log_mel: Float[np.ndarray, "tr frame mel"],
) -> Float64[np.ndarray, "tr mel"]:
    """The log-mel averaged over each TR: (n_trs, n_mels), natural log of amplitude."""
    return log_mel.mean(axis=1, dtype=np.float64)


def sound_power(
    log_mel: Float[np.ndarray, "tr frame mel"],
) -> Float64[np.ndarray, "tr 1"]:
    """Root mean square over each TR of the mel amplitudes: (n_trs, 1), linear."""
    power = np.exp(2 * log_mel.astype(np.float64)).sum(axis=2)
    return np.sqrt(power.mean(axis=1, keepdims=True))


def onset_flux(
    log_mel: Float[np.ndarray, "tr frame mel"],
) -> Float64[np.ndarray, "tr 1"]:
    """How much sound begins in each TR: (n_trs, 1), a hand-made sub-TR feature.

    Rises of the cube root of mel amplitude from one frame to the next (falls count 0), averaged
    over mel bands, summed over the frames of the TR. Frames run on across TR borders; the first
    frame of all has nothing before it and counts 0.

    Source: spectral flux, Bello et al. 2005, A tutorial on onset detection in music signals.
    """
    n_trs, n_frames, n_mels = log_mel.shape
    # Compressed rather than logarithmic: the logarithm would make onsets of whispers in silence.
    loudness = np.exp(log_mel.astype(np.float64) / 3).reshape(n_trs * n_frames, n_mels)
    rise = np.maximum(np.diff(loudness, axis=0, prepend=loudness[:1]), 0.0).mean(axis=1)
    return rise.reshape(n_trs, n_frames).sum(axis=1, keepdims=True)
