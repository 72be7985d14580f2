"""Vocoders by name."""

from subtr.params import Registry
from subtr.vocoders.griffin_lim import GriffinLim
from subtr.vocoders.hifi_gan import HifiGan

VOCODERS = Registry("vocoder", {one.name: one for one in (GriffinLim, HifiGan)})
