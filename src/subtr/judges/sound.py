"""Judges that hear an original and its reconstruction."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32

from subtr.judges.judge import Judge
from subtr.params import SettingsError
from subtr.stimulus.media import resample


@dataclass(frozen=True, kw_only=True)
class SoundJudge(Judge):
    """A judge of sound against sound; `compare` gives its measures by name.

    Class attributes
        own_rate_hz: samples per second that its model hears.
    """

    own_rate_hz: ClassVar[int] = 16000

    def compare(
        self,
        original: Float[np.ndarray, " sample"],
        found: Float[np.ndarray, " other_sample"],
        rate_hz: int,
    ) -> dict[str, float]:
        """Measures of a reconstruction, larger is better unless the class says otherwise.

        Arguments
            original, found: mono, full scale -1 to 1, of the same length.
            rate_hz: samples per second of both.

        Returns
            Name of a measure to its value; NaN where it is not defined, such as the
            intelligibility of silence.

        Raises
            SettingsError: different lengths, none, or values that are not finite.
            JudgeMissing: see `check`.
        """
        if len(original) != len(found):
            raise SettingsError(
                f"original has {len(original)} samples, the reconstruction {len(found)}: "
                "cut both to the same seconds."
            )
        pair = [sound_at(sound, rate_hz, self.own_rate_hz) for sound in (original, found)]
        return {name: float(value) for name, value in self._compare(*pair).items()}

    @abstractmethod
    def _compare(
        self, original: Float32[np.ndarray, " sample"], found: Float32[np.ndarray, " sample"]
    ) -> dict[str, float]:
        """Measures of a pair at `own_rate_hz`."""


def sound_at(
    sound: Float[np.ndarray, " sample"], rate_hz: int, own_rate_hz: int
) -> Float32[np.ndarray, " resampled"]:
    """A sound at the rate that a model hears, within full scale.

    Raises
        SettingsError: no samples, or values that are not finite.
    """
    if not len(sound) or not np.isfinite(sound).all():
        raise SettingsError(
            f"a sound of {len(sound)} samples, {np.count_nonzero(~np.isfinite(sound))} of them "
            "not finite: expected at least one sample, and finite ones."
        )
    if rate_hz != own_rate_hz:
        sound = resample(sound, rate_hz, own_rate_hz)
    return np.clip(sound, -1.0, 1.0).astype(np.float32)
