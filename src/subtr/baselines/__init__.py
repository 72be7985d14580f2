"""The rivals that stand in every results table."""

from subtr.baselines.banded import BandedRidge
from subtr.baselines.blocks import BlockPCARival
from subtr.baselines.canonical import canonical_features
from subtr.baselines.features import mean_mel, onset_flux, sound_power
from subtr.baselines.reconstruction import (
    PCARival,
    lanczos_rival,
    mean_rival,
    nearest_rival,
    sliding_windows,
)
from subtr.baselines.ridge import DEFAULT_ALPHAS, FirRidge, delayed
from subtr.baselines.window_moments import WindowMoments, window_moments

__all__ = [
    "DEFAULT_ALPHAS",
    "BandedRidge",
    "BlockPCARival",
    "FirRidge",
    "PCARival",
    "WindowMoments",
    "canonical_features",
    "delayed",
    "lanczos_rival",
    "mean_mel",
    "mean_rival",
    "nearest_rival",
    "onset_flux",
    "sliding_windows",
    "sound_power",
    "window_moments",
]
