"""Whether the voice keeps its melody."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float64

from subtr.judges.sound import SoundJudge, sound_at

_CENTS_PER_OCTAVE = 1200
_VOICED = 0.5


@dataclass(frozen=True, kw_only=True)
class PitchTracker(SoundJudge):
    """Measures ``pitch`` and ``voicing``.

    pitch: of the frames (16 ms) that are voiced in the original, the share that is voiced in the
    reconstruction and within `cents` of the same pitch; NaN where none is voiced.
    voicing: share of all frames that are voiced in both or in neither.
    """

    name: ClassVar[str] = "pitch"
    criterion: ClassVar[str] = "pitch of voices"
    package: ClassVar[str] = "swift-f0"
    licence: ClassVar[str] = "MIT"
    source: ClassVar[str] = "Nieradzik 2025, SwiftF0"
    modules: ClassVar[tuple[str, ...]] = ("swift_f0", "onnxruntime")

    cents: float = 50.0

    def track(
        self, sound: Float[np.ndarray, " sample"], rate_hz: int
    ) -> tuple[Float64[np.ndarray, " frame"], Bool[np.ndarray, " frame"]]:
        """Fundamental frequency in Hz every 16 ms, and whether there is one."""
        return self._track(sound_at(sound, rate_hz, self.own_rate_hz))

    def _compare(self, original, found):
        f0_hz, voiced = self._track(original)
        found_hz, found_voiced = self._track(found)
        both = voiced & found_voiced
        away = np.abs(np.log2(found_hz[both] / f0_hz[both])) * _CENTS_PER_OCTAVE
        n_voiced = np.count_nonzero(voiced)
        kept = np.count_nonzero(away <= self.cents)
        return {
            "pitch": kept / n_voiced if n_voiced else float("nan"),
            "voicing": np.mean(voiced == found_voiced),
        }

    def _track(self, sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        result = self._detector.detect(sound, self.own_rate_hz)
        return result.pitch_hz, result.confidence >= _VOICED

    @cached_property
    def _detector(self) -> Any:
        self.check()
        from swift_f0 import SwiftF0

        # Threads that wait by spinning slow the other processes of a small machine.
        return SwiftF0(spin=False)
