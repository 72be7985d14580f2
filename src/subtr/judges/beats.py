"""Whether music keeps its tempo and its beats."""

from dataclasses import dataclass
from typing import ClassVar

import librosa
import numpy as np
from jaxtyping import Float, Float64

from subtr.judges.sound import SoundJudge, sound_at

# Tempo comes in steps of one hop per beat: 2.3 % at 120 beats a minute, well below the tolerance.
_HOP_SAMPLES = 256
_OCTAVES = (1 / 3, 1 / 2, 2.0, 3.0)


@dataclass(frozen=True)
class Beats:
    """Tempo in beats per minute, and the seconds of the beats."""

    tempo_bpm: float
    times_s: Float64[np.ndarray, " beat"]


@dataclass(frozen=True, kw_only=True)
class BeatTracker(SoundJudge):
    """Measures ``tempo``, ``tempo_octave`` and ``beats``, against the original's own estimates.

    tempo: 1 where both tempi are within `tolerance` of each other, else 0.
    tempo_octave: 1 where they are not, but are after doubling, tripling, halving or a third: an
        error that listeners forgive; smaller is better.
    beats: F-measure of beats within `window_s`; NaN where the original has none.
    """

    name: ClassVar[str] = "beats"
    criterion: ClassVar[str] = "music tempo and beat"
    package: ClassVar[str] = "librosa, mir_eval"
    licence: ClassVar[str] = "ISC (librosa), MIT (mir_eval)"
    source: ClassVar[str] = "Ellis 2007, Beat tracking by dynamic programming; Dixon 2007"
    modules: ClassVar[tuple[str, ...]] = ("mir_eval",)
    own_rate_hz: ClassVar[int] = 22050

    tolerance: float = 0.04
    window_s: float = 0.07

    def track(self, sound: Float[np.ndarray, " sample"], rate_hz: int) -> Beats:
        """Tempo and beats of a sound; 0 beats a minute where it has none, such as silence."""
        return self._track(sound_at(sound, rate_hz, self.own_rate_hz))

    def _compare(self, original, found):
        self.check()
        import mir_eval

        true, heard = self._track(original), self._track(found)
        same = self._near(true.tempo_bpm, heard.tempo_bpm)
        octave = any(self._near(true.tempo_bpm * times, heard.tempo_bpm) for times in _OCTAVES)
        beats = float("nan")
        if len(true.times_s):
            beats = mir_eval.beat.f_measure(true.times_s, heard.times_s, self.window_s)
        return {"tempo": same, "tempo_octave": octave and not same, "beats": beats}

    def _near(self, true_bpm: float, heard_bpm: float) -> bool:
        return true_bpm > 0 and abs(heard_bpm / true_bpm - 1) <= self.tolerance

    def _track(self, sound: np.ndarray) -> Beats:
        tempo, times_s = librosa.beat.beat_track(
            y=sound, sr=self.own_rate_hz, hop_length=_HOP_SAMPLES, units="time"
        )
        return Beats(float(np.ravel(tempo)[0]), np.asarray(times_s, dtype=np.float64))
