"""Convolutions over frames that encoders share: causal or centred, dilated, strided, separable."""

from collections.abc import Iterable

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from subtr.params import SettingsError


class FrameNorm(nn.Module):
    """Layer norm of each frame on its own, for (batch, feature, frame)."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)

    def forward(self, frames: Tensor) -> Tensor:
        return rearrange(self.norm(rearrange(frames, "b c t -> b t c")), "b t c -> b c t")


def norm_layer(name: str, dim: int) -> nn.Module:
    """A normalisation of (batch, feature, frame) by name: layer, group, batch or none."""
    if name == "layer":
        return FrameNorm(dim)
    if name == "group":
        return nn.GroupNorm(1, dim)
    return nn.BatchNorm1d(dim) if name == "batch" else nn.Identity()


def activation_layer(name: str) -> nn.Module:
    """An activation by name: relu or gelu."""
    return nn.ReLU() if name == "relu" else nn.GELU()


def separable_convolution(dim: int, out_dim: int, kernel_frames: int) -> nn.Sequential:
    """A kernel for each feature alone (depthwise), then a linear mix of features (pointwise).

    It has ``dim * kernel_frames + dim * out_dim`` weights instead of their product, as many frames
    come out as go in.

    Source: Howard et al. 2017 (MobileNets), section 3.1; section 5.1 of the report.
    """
    return nn.Sequential(
        nn.Conv1d(dim, dim, kernel_frames, padding="same", groups=dim), nn.Conv1d(dim, out_dim, 1)
    )


class FrameConvolution(nn.Module):
    """A convolution over frames, padded with zeros so that every ``stride`` frames give one.

    Arguments
        dim, out_dim: features of a frame before and after.
        kernel_frames: length of the kernel, at least ``stride``.
        dilation: frames from one tap of the kernel to the next.
        stride: frames of the input for each of the result. The number of frames must be a multiple.
        causal: a frame of the result sees nothing after the frames that it stands for; otherwise as
            much after as before.
        groups: groups of features that do not mix.
        weight_normed: lengths and directions of the kernels are learned apart.

    Raises
        SettingsError: a kernel shorter than the stride would skip frames; or, when it is applied,
            frames that are no multiple of the stride.
    """

    def __init__(
        self,
        dim: int,
        out_dim: int,
        kernel_frames: int,
        *,
        dilation: int = 1,
        stride: int = 1,
        causal: bool = False,
        groups: int = 1,
        weight_normed: bool = False,
    ):
        super().__init__()
        if kernel_frames < stride:
            raise SettingsError(
                f"a kernel of {kernel_frames} frames with stride {stride} would skip frames: "
                f"expected a kernel of at least {stride} frames."
            )
        conv = nn.Conv1d(dim, out_dim, kernel_frames, stride, dilation=dilation, groups=groups)
        self.convolution = weight_norm(conv) if weight_normed else conv
        self.stride, self.reach = stride, (kernel_frames - 1) * dilation
        added = self.reach + 1 - stride
        before = added if causal else (added + 1) // 2
        self.padding = (before, added - before)

    def forward(
        self, frames: Float[Tensor, "batch dim frame"]
    ) -> Float[Tensor, "batch out strided"]:
        if frames.shape[-1] % self.stride:
            raise SettingsError(
                f"{frames.shape[-1]} frames cannot be taken {self.stride} at a time: choose frames "
                "of a TR and of context, or the encoder's strides, so that they divide."
            )
        return self.convolution(F.pad(frames, self.padding))


def receptive_frames(layers: Iterable[nn.Module]) -> int:
    """Frames of the input that one frame after these layers, in order, sees.

    Each layer states its ``reach`` and its ``stride`` in frames of what it is given.
    """
    seen, hop = 1, 1
    for layer in layers:
        seen += layer.reach * hop
        hop *= layer.stride
    return seen
