"""Judges of audio: intelligibility, quality, pitch, emotion and sound events."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float64

from subtr.judges.judge import SoundJudge, sound_at
from subtr.params import SettingsError

# What pystoi gives when too little of the original is sound.
_UNDEFINED = 1e-5


@dataclass(frozen=True, kw_only=True)
class Intelligibility(SoundJudge):
    """Measures ``stoi`` and ``estoi``, at most 1; NaN below 0.4 s of sound in the original."""

    name: ClassVar[str] = "stoi"
    criterion: ClassVar[str] = "intelligible speech"
    package: ClassVar[str] = "pystoi"
    licence: ClassVar[str] = "MIT"
    source: ClassVar[str] = "Taal et al. 2011 (STOI); Jensen and Taal 2016 (ESTOI)"
    modules: ClassVar[tuple[str, ...]] = ("pystoi",)

    def _compare(self, original, found):
        self.check()
        from pystoi import stoi

        measures = {}
        for name, extended in (("stoi", False), ("estoi", True)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                value = stoi(original, found, self.own_rate_hz, extended=extended)
            defined = original.any() and value != _UNDEFINED
            measures[name] = value if defined else float("nan")
        return measures


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
