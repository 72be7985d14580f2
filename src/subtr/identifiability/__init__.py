"""Which rates of modulation a scan could recover: simulated before anybody is scanned.

A rate can be in BOLD in two ways. As a "wave", a parcel follows the modulation itself, up and down,
so the haemodynamic response smooths it away and the TR folds what is left. As "power", a parcel is
tuned to the rate and follows how strong it is; that changes slowly, however fast the rate is.
"""

from subtr.identifiability.recovery import Recovery, recover
from subtr.identifiability.response import response, transfer
from subtr.identifiability.scan import KINDS, Scan
from subtr.identifiability.simulation import Recording, simulate
from subtr.identifiability.sweeps import (
    AXES,
    IdentifiabilityParams,
    fastest_rates,
    identifiability_params,
    over_seeds,
    sweep,
)
from subtr.identifiability.wiener import expected_r

__all__ = [
    "AXES",
    "KINDS",
    "IdentifiabilityParams",
    "Recording",
    "Recovery",
    "Scan",
    "expected_r",
    "fastest_rates",
    "identifiability_params",
    "over_seeds",
    "recover",
    "response",
    "simulate",
    "sweep",
    "transfer",
]
