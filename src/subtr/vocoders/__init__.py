"""Log-mel spectrograms to sound.

A vocoder is built from the `MelSettings` of the spectrograms and its options, and called with
log-mel (TR, frame, mel) and a clock; ``stream`` does the same piece by piece.
"""

from subtr.vocoders.choice import Chosen, Content, VocoderParams, choose_vocoder
from subtr.vocoders.griffin_lim import GriffinLim
from subtr.vocoders.hifi_gan import HIFI_GAN_MEL, HifiGan
from subtr.vocoders.registry import VOCODERS
from subtr.vocoders.sound_file import SoundError, write_sound
from subtr.vocoders.vocoder import Vocoder
from subtr.vocoders.weights import WeightsError

__all__ = [
    "HIFI_GAN_MEL",
    "VOCODERS",
    "Chosen",
    "Content",
    "GriffinLim",
    "HifiGan",
    "SoundError",
    "Vocoder",
    "VocoderParams",
    "WeightsError",
    "choose_vocoder",
    "write_sound",
]
