"""What is heard: dogs, doors, engines, applause."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float64

from subtr.judges.sound import SoundJudge, sound_at
from subtr.params import SettingsError


@dataclass(frozen=True, kw_only=True)
class SoundEvents(SoundJudge):
    """Measure ``events``: of the likeliest classes of the original, the share that is kept.

    Options
        model: a YAMNet in ONNX form: input a waveform at 16 kHz, (sample,) or (1, sample), first
            output scores (frame, class). None comes with the packages.
        n_classes: how many of the likeliest classes are compared.
    """

    name: ClassVar[str] = "events"
    criterion: ClassVar[str] = "sound events"
    package: ClassVar[str] = "onnxruntime"
    licence: ClassVar[str] = "MIT (onnxruntime); YAMNet: Apache-2.0"
    source: ClassVar[str] = "Plakal and Ellis 2020, YAMNet; classes of AudioSet"
    modules: ClassVar[tuple[str, ...]] = ("onnxruntime",)

    model: Path | None = None
    n_classes: int = 3

    def check(self) -> None:
        super().check()
        if self.model is None or not self.model.is_file():
            raise self.missing(
                f"{self.model or 'its model'} is not at hand; no package carries one",
                "Give model=, a file with YAMNet in ONNX form",
            )

    def scores(
        self, sound: Float[np.ndarray, " sample"], rate_hz: int
    ) -> Float64[np.ndarray, " event"]:
        """Mean score of each class over the sound.

        Raises
            SettingsError: the model takes or gives other than a YAMNet does; see `sound_at`.
            JudgeMissing: see `check`.
        """
        return self._scores(sound_at(sound, rate_hz, self.own_rate_hz))

    def _compare(self, original, found):
        true, heard = (
            set(np.argsort(-self._scores(sound))[: self.n_classes]) for sound in (original, found)
        )
        return {"events": len(true & heard) / self.n_classes}

    def _scores(self, sound: np.ndarray) -> np.ndarray:
        given = self._session.get_inputs()[0]
        waveform = sound if len(given.shape) == 1 else sound[None]
        try:
            found = np.asarray(self._session.run(None, {given.name: waveform})[0])
        except Exception as error:  # onnxruntime has many kinds, none of them documented
            raise SettingsError(f"{self.model} cannot hear {waveform.shape}: {error}") from error
        if found.ndim < 2:
            raise SettingsError(f"{self.model} gives {found.shape}: expected (frame, class).")
        return found.reshape(-1, found.shape[-1]).mean(axis=0, dtype=np.float64)

    @cached_property
    def _session(self) -> Any:
        self.check()
        import onnxruntime

        try:
            return onnxruntime.InferenceSession(str(self.model), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise SettingsError(f"{self.model} is no readable ONNX model: {error}") from error
