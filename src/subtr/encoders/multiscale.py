"""Multi-scale temporal convolution: parallel kernels of several lengths, fused."""

import math
from typing import Annotated, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.convolutions import activation_layer, norm_layer, separable_convolution
from subtr.params import SettingsError


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


class MultiscaleEncoder(nn.Module):
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
        hidden_dim: Annotated[int, Field(ge=1, le=8192)] = 256,
        kernel_frames: Annotated[
            tuple[Annotated[int, Field(ge=1, le=511)], ...], Field(min_length=1)
        ] = (1, 3, 5, 7, 11),
        depth: Annotated[int, Field(ge=0, le=64)] = 1,
        block_frames: Annotated[int, Field(ge=1, le=511)] = 3,
        norm: Literal["layer", "group", "batch", "none"] = "layer",
        activation: Literal["relu", "gelu"] = "gelu",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        separable: bool = False,
    ):
        super().__init__()
        self._sees_window = norm == "group" and depth > 0
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

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Frames per second of each level."""
        return [input_frame_hz]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Seconds of input that a frame of each level sees, summed over the layers.

        Infinite where a norm's statistics are of the whole window.
        """
        frames = 1 + max(_reach(branch) for branch in self.scales.branches)
        frames += sum(_reach(block[0]) for block in self.blocks)
        if self._sees_window:
            frames = math.inf
        return [frames / input_frame_hz]

    def forward(
        self, frames: Float[Tensor, "batch frame feature"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
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
