"""Who is speaking: embeddings of voices, compared with those of known speakers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float32

from subtr.judges.sound import SoundJudge, sound_at
from subtr.params import SettingsError


@dataclass(frozen=True, kw_only=True)
class SpeakerRecogniser(SoundJudge):
    """Measure ``voice``: cosine of the embeddings of both sounds; `enrol` makes speakers known."""

    name: ClassVar[str] = "speakers"
    criterion: ClassVar[str] = "speaker identification"
    package: ClassVar[str] = "resemblyzer, webrtcvad-wheels"
    licence: ClassVar[str] = "Apache-2.0 (webrtcvad: MIT)"
    source: ClassVar[str] = "Wan et al. 2018, Generalized end-to-end loss for speaker verification"
    modules: ClassVar[tuple[str, ...]] = ("resemblyzer", "webrtcvad")

    def embed(
        self, sound: Float[np.ndarray, " sample"], rate_hz: int
    ) -> Float32[np.ndarray, " dim"]:
        """A voice as a vector of length 1, of the parts in which there is one.

        Raises
            SettingsError: no samples, or values that are not finite.
            JudgeMissing: see `check`.
        """
        encoder = self._encoder
        from resemblyzer import audio

        sound = sound_at(sound, rate_hz, self.own_rate_hz)
        if sound.any():
            sound = audio.normalize_volume(sound, audio.audio_norm_target_dBFS, increase_only=True)
        voiced = audio.trim_long_silences(np.clip(sound, -1.0, 1.0))
        # Where no voice is found, as in noise, the whole is embedded: no answer is no option.
        return encoder.embed_utterance(voiced if len(voiced) else sound)

    def enrol(
        self, speakers: Mapping[str, Sequence[Float[np.ndarray, " _"]]], rate_hz: int
    ) -> "KnownSpeakers":
        """Speakers by name, from utterances that will not be judged.

        Raises
            SettingsError: a speaker without utterances, or fewer than two speakers.
        """
        if len(speakers) < 2 or not all(len(sounds) for sounds in speakers.values()):
            counts = {name: len(sounds) for name, sounds in speakers.items()}
            raise SettingsError(
                f"utterances {counts}: expected two speakers or more, each with some."
            )
        centroids = [
            np.mean([self.embed(sound, rate_hz) for sound in sounds], axis=0)
            for sounds in speakers.values()
        ]
        lengths = np.linalg.norm(centroids, axis=1, keepdims=True)
        return KnownSpeakers(self, tuple(speakers), np.array(centroids) / lengths)

    def _compare(self, original, found):
        rate_hz = self.own_rate_hz
        return {"voice": self.embed(original, rate_hz) @ self.embed(found, rate_hz)}

    @cached_property
    def _encoder(self) -> Any:
        self.check()
        from resemblyzer import VoiceEncoder

        return VoiceEncoder("cpu", verbose=False)


@dataclass(frozen=True)
class KnownSpeakers:
    """Names, and the mean direction of each speaker's embeddings."""

    judge: SpeakerRecogniser
    names: tuple[str, ...]
    centroids: Float[np.ndarray, "speaker dim"]

    def identify(self, sounds: Sequence[Float[np.ndarray, " _"]], rate_hz: int) -> list[str]:
        """The name of the nearest speaker, by cosine, for each sound."""
        embedded = np.array([self.judge.embed(sound, rate_hz) for sound in sounds])
        return [self.names[nearest] for nearest in (embedded @ self.centroids.T).argmax(axis=1)]

    def accuracy(
        self, names: Sequence[str], sounds: Sequence[Float[np.ndarray, " _"]], rate_hz: int
    ) -> float:
        """Share of the sounds that are given their speaker; chance is 1 / speakers.

        Raises
            SettingsError: names that were not enrolled, or not one for each sound.
        """
        unknown = sorted(set(names) - set(self.names))
        if unknown or len(names) != len(sounds):
            raise SettingsError(
                f"{len(names)} names for {len(sounds)} sounds, not enrolled: {unknown}. Expected "
                f"for each sound one of {', '.join(self.names)}."
            )
        return float(np.mean(np.array(self.identify(sounds, rate_hz)) == np.array(names)))
