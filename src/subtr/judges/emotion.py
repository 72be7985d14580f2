"""Whether a voice keeps its emotion, by a classifier of the user's."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from subtr.judges.sound import SoundJudge


@dataclass(frozen=True, kw_only=True)
class EmotionClassifier(SoundJudge):
    """Measure ``emotion``: 1 where the likeliest label of both sounds is the same, else 0.

    Nothing that can be installed carries weights for it, so without `model` it is not measured.

    Options
        model: folder of an audio classifier of `transformers`, with its feature extractor, or
            its name where it is in the user's cache; nothing is fetched.
    """

    name: ClassVar[str] = "emotion"
    criterion: ClassVar[str] = "emotion of voices"
    package: ClassVar[str] = "transformers"
    licence: ClassVar[str] = "Apache-2.0 (transformers); that of the model"
    source: ClassVar[str] = "the model's"
    modules: ClassVar[tuple[str, ...]] = ("transformers",)

    model: str | Path | None = None

    def check(self) -> None:
        if self.model is None:
            raise self.missing(
                "no model is named, and none that works offline can be installed",
                "Give model=, the folder of a transformers audio classifier",
            )
        try:
            super().check()
        except ImportError as error:
            raise self.missing(
                "transformers is not installed", "`pip install transformers` installs it"
            ) from error

    def _compare(self, original, found):
        labels = [self._label(sound) for sound in (original, found)]
        return {"emotion": labels[0] == labels[1]}

    def _label(self, sound) -> str:
        heard = self._pipeline({"raw": sound, "sampling_rate": self.own_rate_hz}, top_k=1)
        return heard[0]["label"]

    @cached_property
    def _pipeline(self) -> Any:
        self.check()
        from transformers import AutoFeatureExtractor, AutoModelForAudioClassification, pipeline

        try:
            extractor = AutoFeatureExtractor.from_pretrained(self.model, local_files_only=True)
            network = AutoModelForAudioClassification.from_pretrained(
                self.model, local_files_only=True
            )
        except (OSError, ValueError) as error:
            raise self.missing(
                f"{self.model} is no audio classifier on this machine ({error})",
                "Give the folder that holds config.json, weights and preprocessor_config.json",
            ) from error
        return pipeline("audio-classification", model=network, feature_extractor=extractor)
