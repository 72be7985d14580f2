"""The vocoder Griffin-Lim as one function."""

import numpy as np
from jaxtyping import Float, Float32

from subtr.clock import Clock
from subtr.stimulus.mel import MelSettings
from subtr.vocoders import GriffinLim, SoundError, write_sound

__all__ = ["SoundError", "mel_to_sound", "write_sound"]


def mel_to_sound(
    log_mel: Float[np.ndarray, "tr frame mel"],
    clock: Clock,
    settings: MelSettings | None = None,
    *,
    n_iter: int = 48,
    seed: int = 0,
) -> Float32[np.ndarray, " sample"]:
    """Sound by `subtr.vocoders.GriffinLim`."""
    return GriffinLim(settings or MelSettings(), n_iter=n_iter, seed=seed)(log_mel, clock)
