"""The generator of HiFi-GAN: log-mel frames to samples through convolutions alone.

Source: Kong, Kim and Bae 2020, HiFi-GAN, section 2.2 and appendix A.1.

Convolutions are two-dimensional over pictures one row high, in the layout channels last: one core
then takes half the time of one-dimensional ones.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

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
