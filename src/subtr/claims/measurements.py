"""Measurements by name: what needs no training, from the library itself."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from subtr.claims.configurations import Setting
from subtr.claims.costs import MEMORY, ON_GRAPHICS_CARDS, ORDER, TIMES, middle
from subtr.claims.multiplications import FLOPS
from subtr.claims.sizes import PARAMETERS, SEPARABLE, SPANS
from subtr.cost.measuring import Timing, check_steps
from subtr.params import SettingsError, nearest

COUNTED = PARAMETERS | SEPARABLE | SPANS | FLOPS | MEMORY | ORDER
REPORT = Setting()
MEASUREMENTS: dict[str, Callable] = COUNTED | TIMES


@dataclass(frozen=True)
class Measured:
    """A number with the ends of its interval, equal to it where it is exact, and what it is of."""

    value: float
    low: float
    high: float
    of: str = ""


def check_measurement(name: str) -> None:
    """Raises SettingsError where there is no measurement of that name."""
    if name not in MEASUREMENTS:
        raise SettingsError(
            f"{name!r} is no known measurement{nearest(name, sorted(MEASUREMENTS))}"
        )


@functools.lru_cache(maxsize=1024)
def measure(name: str, setting: Setting = REPORT) -> Measured | None:
    """One measurement at these sizes; None where `why_not` says why it cannot be made.

    What was measured once in a session is not measured again.

    Times are given with the least and the most of the rounds, the others are exact.

    Raises
        SettingsError: no such measurement, or no such device.
    """
    check_measurement(name)
    check_steps(setting.frames_per_tr, setting.tr_s, Timing(setting.batch, 1, setting.device))
    if name in COUNTED:
        value = float(COUNTED[name](setting))
        return Measured(value, value, value, "library")
    if why_not(name, setting):
        return None
    return Measured(*middle(TIMES[name](setting)), f"library, {_machine(setting.device)}")


def why_not(name: str, setting: Setting) -> str:
    """Why a measurement cannot be made at this setting, or ""."""
    if name not in TIMES:
        return ""
    if name in ON_GRAPHICS_CARDS and torch.device(setting.device).type != "cuda":
        return "it is a claim about graphics cards; measure with --device cuda"
    return "" if setting.rounds else "times were left out"


def _machine(device: str) -> str:
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device}, {torch.get_num_threads()} threads"
