"""Networks that were trained on speech, as sources of features; each knows when its frames are."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from subtr.errors import SubtrError


class SpeechModelError(SubtrError, OSError):
    """A speech model is not at hand; the message says which, and how to get it."""


@dataclass(frozen=True)
class FrameGrid:
    """When the frames of a model are, if it hears a sound from sample 0 on.

    Arguments
        rate_hz: samples per second that it takes.
        stride: samples from one frame to the next.
        field: samples that a frame is made from before frames are mixed with one another.
        padded: whether the sound is padded so that frame 0 is centred on sample 0; otherwise its
            field begins there.
        longest: frames that the model takes at once; None for any number.
    """

    rate_hz: int
    stride: int
    field: int
    padded: bool = False
    longest: int | None = None

    @classmethod
    def of_convolutions(
        cls, rate_hz: int, kernels: tuple[int, ...], strides: tuple[int, ...]
    ) -> "FrameGrid":
        """That of convolutions one after another, without padding."""
        stride, field = 1, 1
        for kernel, step in zip(kernels, strides, strict=True):
            field += (kernel - 1) * stride
            stride *= step
        return cls(rate_hz, stride, field)

    @property
    def centre(self) -> float:
        """Sample in the middle of frame 0, halves included."""
        return 0.0 if self.padded else (self.field - 1) / 2

    def samples_of(self, first: int, last: int) -> tuple[int, int]:
        """The first sample, and one past the last, to be given for frames ``first`` to ``last``."""
        beyond = self.stride if self.padded else self.field
        return first * self.stride, last * self.stride + beyond

    @property
    def frame_hz(self) -> float:
        """Frames per second."""
        return self.rate_hz / self.stride


class SpeechModel(ABC):
    """Sound -> features, frame by frame of its own rate.

    Attributes
        name: as the user gave it.
        grid: when its frames are.
        supervised: whether it learned from what people wrote down, not from sound alone.
        digest: of weights and layer; changes when the features do.
    """

    name: str
    grid: FrameGrid
    supervised: bool
    digest: str

    @abstractmethod
    def features(
        self, sound: Float32[np.ndarray, " sample"]
    ) -> Float32[np.ndarray, "frame feature"]:
        """All frames whose field lies within the sound, frame 0 at its first sample."""


def open_speech_model(model: str, layer: int = -1) -> SpeechModel:
    """A speech model by name or folder.

    Arguments
        model: "whisper-base" or "whisper-tiny.en", from installed packages; else the name of a
            wav2vec 2.0, HuBERT or WavLM model in the user's Hugging Face cache, or its folder.
        layer: whose output is taken: 0 goes into the first layer of attention, -1 comes out of the
            last. Of Whisper, -1 alone.

    Raises
        SpeechModelError: a package or the weights are not there.
        SettingsError: no such layer; or a folder of another kind of model.
    """
    # Either needs a package that most studies do without.
    if model.startswith("whisper-") and not Path(model).is_dir():
        from subtr.stimulus.whisper_features import WhisperEncoder

        return WhisperEncoder(model, layer)
    from subtr.stimulus.self_supervised import SelfSupervisedModel

    return SelfSupervisedModel(model, layer)
