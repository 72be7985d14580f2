"""How well speech can be understood, by its short-time envelopes."""

import warnings
from dataclasses import dataclass
from typing import ClassVar

from subtr.judges.sound import SoundJudge

# What pystoi gives when too little of the original is sound.
_UNDEFINED = 1e-5


@dataclass(frozen=True, kw_only=True)
class Intelligibility(SoundJudge):
    """Measures ``stoi`` and ``estoi``, at most 1; NaN below 0.4 s of sound in the original."""

    name: ClassVar[str] = "stoi"
    criterion: ClassVar[str] = "intelligible speech"
    package: ClassVar[str] = "pystoi"
    licence: ClassVar[str] = "MIT"
    source: ClassVar[str] = "Taal et al. 2011 (STOI); Jensen and Taal 2016 (ESTOI)"
    modules: ClassVar[tuple[str, ...]] = ("pystoi",)

    def _compare(self, original, found):
        self.check()
        from pystoi import stoi

        measures = {}
        for name, extended in (("stoi", False), ("estoi", True)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                value = stoi(original, found, self.own_rate_hz, extended=extended)
            defined = original.any() and value != _UNDEFINED
            measures[name] = value if defined else float("nan")
        return measures
