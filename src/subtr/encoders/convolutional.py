"""Convolutional encoders of audio: multi-scale, hierarchical and linear."""

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from subtr.params import Dim, DimOrNone, Fraction, KernelFrames, SettingsError

Window = Float[Tensor, "batch frame feature"]

Pictures = Float[Tensor, "batch frame rgb height width"]

Levels = list[Float[Tensor, "batch _frame_l _dim_l"]]

Activation = Literal["relu", "gelu"]


class Encoder(nn.Module):
    """Frames of a window to one or more levels of latents, fine first.

    A subclass says of each level: ``level_dims``, its features; ``level_strides``, the frames of
    the input that make one of it; and ``level_fields``, the frames of the input that one of it
    sees, ``math.inf`` where that is all of the window, whatever its length.
    """

    level_dims: list[int]
    level_strides: Sequence[int] = (1,)
    level_fields: Sequence[float] = (1,)

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Frames per second of each level."""
        return [input_frame_hz / stride for stride in self.level_strides]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Seconds of input that a frame of each level sees."""
        return [n_frames / input_frame_hz for n_frames in self.level_fields]


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


class MultiscaleConvolution(nn.Module):
    """Parallel convolutions with kernels of several lengths, then a linear fusion.

    Arguments
        in_dim, out_dim: features of a frame before and after.
        kernel_frames: odd lengths of the kernels in frames.
        separable: each branch is a depthwise and then a pointwise convolution.
    """

    def __init__(
        self, in_dim: int, out_dim: int, kernel_frames: tuple[int, ...], separable: bool = False
    ):
        super().__init__()
        if any(kernel % 2 == 0 for kernel in kernel_frames):
            raise SettingsError(f"kernel_frames = {kernel_frames}: expected odd numbers of frames.")
        self.branches = nn.ModuleList(
            _convolution(in_dim, out_dim, kernel, separable) for kernel in kernel_frames
        )
        self.fusion = nn.Conv1d(out_dim * len(kernel_frames), out_dim, 1)

    def forward(self, frames: Float[Tensor, "batch dim frame"]) -> Float[Tensor, "batch out frame"]:
        return self.fusion(torch.cat([branch(frames) for branch in self.branches], dim=1))

    @torch.no_grad()
    def collapsed(self) -> nn.Conv1d:
        """The one convolution, as long as the longest kernel, that computes the same.

        Branches and fusion are linear with nothing between them, so this is exact; it costs a
        fraction at inference.
        """
        kernels = [_kernel_and_bias(branch) for branch in self.branches]
        longest = max(kernel.shape[-1] for kernel, _ in kernels)
        out_dim, dim, _ = kernels[0][0].shape
        single = nn.Conv1d(dim, out_dim, longest, padding="same").to(self.fusion.weight)
        single.weight.zero_()
        single.bias.copy_(self.fusion.bias)
        mixings = self.fusion.weight[..., 0].split(out_dim, dim=1)
        for (kernel, bias), mixing in zip(kernels, mixings, strict=True):
            n_taps = kernel.shape[-1]
            start = (longest - n_taps) // 2
            mixed = torch.einsum("o h, h c k -> o c k", mixing, kernel)
            single.weight[..., start : start + n_taps] += mixed
            single.bias += mixing @ bias
        return single


class MultiscaleEncoder(Encoder):
    """Multi-scale convolution and fusion, then residual blocks of convolution, norm, activation.

    Arguments
        in_dim: features of a frame.
        hidden_dim: features of a frame of the result.
        kernel_frames: odd kernel lengths of the parallel branches in frames.
        depth: blocks after the fusion; the report has one.
        block_frames: odd kernel length of the blocks.
        norm: "layer" (each frame on its own), "group" (each window on its own, so that every frame
            sees all), "batch" as in the report (statistics cross windows), or "none".
        activation: "relu" as in the report, or "gelu".
        dropout: fraction of features dropped in each block.
        separable: branches and blocks are depthwise and then pointwise convolutions.

    Raises
        SettingsError: an even kernel length.

    Source: sections 1.1, 5.1 and 6.1 of the report.
    """

    def __init__(
        self,
        in_dim: int,
        *,
        hidden_dim: Dim = 256,
        kernel_frames: Annotated[tuple[KernelFrames, ...], Field(min_length=1)] = (1, 3, 5, 7, 11),
        depth: Annotated[int, Field(ge=0, le=64)] = 1,
        block_frames: KernelFrames = 3,
        norm: Literal["layer", "group", "batch", "none"] = "layer",
        activation: Activation = "gelu",
        dropout: Fraction = 0.0,
        separable: bool = False,
    ):
        super().__init__()
        self.level_dims = [hidden_dim]
        self.scales = MultiscaleConvolution(in_dim, hidden_dim, tuple(kernel_frames), separable)
        if block_frames % 2 == 0:
            raise SettingsError(f"block_frames = {block_frames}: expected an odd number of frames.")
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _convolution(hidden_dim, hidden_dim, block_frames, separable),
                norm_layer(norm, hidden_dim),
                activation_layer(activation),
                nn.Dropout(dropout),
            )
            for _ in range(depth)
        )
        reaches = [max(_reach(branch) for branch in self.scales.branches)]
        reaches += [_reach(block[0]) for block in self.blocks]
        # The statistics of a group norm are of the whole window.
        self.level_fields = [math.inf if norm == "group" and depth else 1 + sum(reaches)]

    def forward(self, frames: Window) -> Levels:
        latents = self.scales(rearrange(frames, "b t c -> b c t"))
        for index, block in enumerate(self.blocks):
            # The first block is the report's; a deeper one adds to what is there.
            latents = block(latents) if index == 0 else latents + block(latents)
        return [rearrange(latents, "b c t -> b t c")]


def _convolution(dim: int, out_dim: int, kernel_frames: int, separable: bool) -> nn.Module:
    if separable:
        return separable_convolution(dim, out_dim, kernel_frames)
    return nn.Conv1d(dim, out_dim, kernel_frames, padding="same")


def _kernel_and_bias(branch: nn.Module) -> tuple[Tensor, Tensor]:
    """Of the one plain convolution that computes the same as the branch."""
    if isinstance(branch, nn.Conv1d):
        return branch.weight, branch.bias
    depthwise, pointwise = branch
    kernel = torch.einsum("o c, c k -> o c k", pointwise.weight[..., 0], depthwise.weight[:, 0])
    # Pointwise comes after the padding, so the depthwise bias is the same at the borders.
    return kernel, pointwise.weight[..., 0] @ depthwise.bias + pointwise.bias


def _reach(convolution: nn.Module) -> int:
    if isinstance(convolution, nn.Sequential):
        convolution = convolution[0]
    return convolution.kernel_size[0] - 1


class HierarchicalEncoder(Encoder):
    """Levels that are each a convolution of learned sums over spans of the level before.

    A level after the first takes ``pool_frames`` frames at a time of the finer one, without
    overlap, by a convolution; then each level has a convolution, norm and activation. That of the
    coarsest sees one frame at a time. The levels are not fused here: the aggregator "mean" does
    what the report's fusion does, with the same parameters.

    Arguments
        in_dim: features of a frame.
        dims: features of each level, fine first; the report has 256, 512, 512.
        pool_frames: frames of a level that make one of the next. With 64 frames a TR, 8 and 8 give
            one frame a TR at the coarsest of three levels.
        kernel_frames: length of the convolutions of all levels but the coarsest.
        norm: "layer" (each frame on its own), "group" (each window on its own, so that every frame
            sees all), "batch" as in the report (statistics cross windows), or "none".
        activation: "gelu", or "relu" as in the report.
        causal: a frame sees nothing after the span that it stands for.

    Raises
        SettingsError: levels and spans do not fit each other; or, when it is applied, the frames
            are no multiple of the spans.

    Source: sections 1.4 and 6.2 of the report.
    """

    def __init__(
        self,
        in_dim: int,
        *,
        dims: Annotated[tuple[Dim, ...], Field(min_length=2, max_length=8)] = (32, 64, 64),
        pool_frames: Annotated[
            tuple[Annotated[int, Field(ge=2, le=512)], ...], Field(min_length=1, max_length=7)
        ] = (8, 8),
        kernel_frames: KernelFrames = 3,
        norm: Literal["layer", "group", "batch", "none"] = "layer",
        activation: Activation = "gelu",
        causal: bool = False,
    ):
        super().__init__()
        if len(pool_frames) != len(dims) - 1:
            raise SettingsError(
                f"pool_frames = {tuple(pool_frames)}: expected {len(dims) - 1} numbers, one "
                f"between each two of the {len(dims)} levels in dims."
            )
        self.causal, self.level_dims = causal, list(dims)
        self.level_strides = [math.prod(pool_frames[:level]) for level in range(len(dims))]
        self.poolings = nn.ModuleList(
            FrameConvolution(dim, dim, span, stride=span, causal=causal)
            for dim, span in zip(dims, pool_frames, strict=False)
        )
        self.convolutions = nn.ModuleList()
        for level, (before, after) in enumerate(zip([in_dim, *dims], dims, strict=False)):
            kernel = 1 if level == len(dims) - 1 else kernel_frames
            self.convolutions.append(FrameConvolution(before, after, kernel, causal=causal))
        self.ends = nn.ModuleList(
            nn.Sequential(norm_layer(norm, dim), activation_layer(activation)) for dim in dims
        )
        layers, self.level_fields = [], []
        for level, convolution in enumerate(self.convolutions):
            layers += [*self.poolings[level - 1 : level], convolution]
            self.level_fields.append(math.inf if norm == "group" else receptive_frames(layers))

    def forward(self, frames: Window) -> Levels:
        latents, levels = rearrange(frames, "b t c -> b c t"), []
        for level, (convolution, end) in enumerate(zip(self.convolutions, self.ends, strict=True)):
            if level:
                latents = self.poolings[level - 1](latents)
            latents = end(convolution(latents))
            levels.append(rearrange(latents, "b c t -> b t c"))
        return levels


class LinearEncoder(Encoder):
    """One linear map of each frame's features.

    Arguments
        in_dim: features of a frame.
        hidden_dim: features of the result; 0 hands the frames on unchanged.
    """

    def __init__(self, in_dim: int, *, hidden_dim: DimOrNone = 128):
        super().__init__()
        self.level_dims = [hidden_dim or in_dim]
        self.map = nn.Linear(in_dim, hidden_dim) if hidden_dim else nn.Identity()

    def forward(self, frames: Window) -> Levels:
        return [self.map(frames)]
