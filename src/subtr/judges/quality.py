"""How good speech sounds: opinion scores as models predict them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from subtr.judges.sound import SoundJudge

_PERCEPTUAL = "perceptual quality"


@dataclass(frozen=True, kw_only=True)
class Pesq(SoundJudge):
    """Measure ``pesq``, wideband, 1.04 to 4.64; NaN where no utterance is found in either sound."""

    name: ClassVar[str] = "pesq"
    criterion: ClassVar[str] = _PERCEPTUAL
    package: ClassVar[str] = "pesq"
    licence: ClassVar[str] = "MIT (code); ITU-T P.862.2 asks for a licence in products"
    source: ClassVar[str] = "Rix et al. 2001; ITU-T P.862.2"
    modules: ClassVar[tuple[str, ...]] = ("pesq",)

    def _compare(self, original, found):
        self.check()
        import pesq

        try:
            return {"pesq": pesq.pesq(self.own_rate_hz, original, found, "wb")}
        except (pesq.NoUtterancesError, pesq.BufferTooShortError):
            return {"pesq": float("nan")}


@dataclass(frozen=True, kw_only=True)
class Visqol(SoundJudge):
    """Measure ``visqol``, 1 to 5: in speech mode by its polynomial, which needs no TensorFlow."""

    name: ClassVar[str] = "visqol"
    criterion: ClassVar[str] = _PERCEPTUAL
    package: ClassVar[str] = "visqol-python"
    licence: ClassVar[str] = "Apache-2.0"
    source: ClassVar[str] = "Chinen et al. 2020, ViSQOL v3"
    modules: ClassVar[tuple[str, ...]] = ("visqol", "libsvm")

    def _compare(self, original, found):
        result = self._api.measure_from_arrays(
            original.astype(float), found.astype(float), self.own_rate_hz
        )
        return {"visqol": result.moslqo}

    @cached_property
    def _api(self) -> Any:
        self.check()
        from visqol import VisqolApi

        api = VisqolApi()
        api.create(mode="speech", use_lattice_model=False)
        return api


@dataclass(frozen=True, kw_only=True)
class Dnsmos(SoundJudge):
    """Measures ``dnsmos``, ``dnsmos_signal``, ``dnsmos_background`` and ``dnsmos_p808``, 1 to 5.

    It hears the reconstruction alone, so any clean speech in place of what was said pleases it: a
    judge of noise, to be read beside one that knows the original. A sound shorter than its 9.01 s
    is repeated to that length, and heard once.
    """

    name: ClassVar[str] = "dnsmos"
    criterion: ClassVar[str] = f"{_PERCEPTUAL} (noise only)"
    package: ClassVar[str] = "speechmos"
    licence: ClassVar[str] = "MIT"
    source: ClassVar[str] = "Reddy, Gopal and Cutler 2022, DNSMOS P.835"
    modules: ClassVar[tuple[str, ...]] = ("speechmos", "onnxruntime")

    def _compare(self, original, found):
        self.check()
        from speechmos import dnsmos

        # Left to itself, it doubles the sound until it is longer and hears it up to nine times.
        least = round(dnsmos.INPUT_LENGTH * self.own_rate_hz)
        repeated = found if len(found) >= least else np.resize(found, least)
        scores = dnsmos.run(repeated, self.own_rate_hz)
        named = {"": "ovrl", "_signal": "sig", "_background": "bak", "_p808": "p808"}
        return {f"dnsmos{end}": scores[f"{key}_mos"] for end, key in named.items()}
