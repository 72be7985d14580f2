"""Multi-scale temporal convolution: parallel kernels of several lengths, fused."""

from typing import Annotated, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.errors import SettingsError


class FrameNorm(nn.Module):
    """Layer norm of each frame on its own, for (batch, feature, frame)."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)

    def forward(self, frames: Tensor) -> Tensor:
        return rearrange(self.norm(rearrange(frames, "b c t -> b t c")), "b t c -> b c t")


class MultiscaleConvolution(nn.Module):
    """Parallel convolutions with kernels of several lengths, then a linear fusion.

    Arguments
        in_dim, out_dim: features of a frame before and after.
        kernel_frames: odd lengths of the kernels in frames.
    """

    def __init__(self, in_dim: int, out_dim: int, kernel_frames: tuple[int, ...]):
        super().__init__()
        if any(kernel % 2 == 0 for kernel in kernel_frames):
            raise SettingsError(f"kernel_frames = {kernel_frames}: expected odd numbers of frames.")
        self.branches = nn.ModuleList(
            nn.Conv1d(in_dim, out_dim, kernel, padding="same") for kernel in kernel_frames
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
        longest = max(branch.kernel_size[0] for branch in self.branches)
        first = self.branches[0]
        dim, out_dim = first.in_channels, first.out_channels
        single = nn.Conv1d(dim, out_dim, longest, padding="same").to(first.weight)
        single.weight.zero_()
        single.bias.copy_(self.fusion.bias)
        for branch, mixing in zip(
            self.branches, self.fusion.weight[..., 0].split(out_dim, dim=1), strict=True
        ):
            kernel = torch.einsum("o h, h c k -> o c k", mixing, branch.weight)
            start = (longest - branch.kernel_size[0]) // 2
            single.weight[..., start : start + branch.kernel_size[0]] += kernel
            single.bias += mixing @ branch.bias
        return single


class MultiscaleEncoder(nn.Module):
    """Multi-scale convolution and fusion, then residual blocks of convolution, norm, activation.

    Arguments
        in_dim: features of a frame.
        hidden_dim: features of a frame of the result.
        kernel_frames: odd kernel lengths of the parallel branches in frames.
        depth: blocks after the fusion; the report has one.
        block_frames: odd kernel length of the blocks.
        norm: "layer" or "group" (each frame, each window on its own), "batch" as in the report
            (statistics then cross windows), or "none".
        activation: "relu" as in the report, or "gelu".
        dropout: fraction of features dropped in each block.
        keep_input: put the input before the result as the finest level.

    Raises
        SettingsError: an even kernel length.

    Source: sections 1.1 and 6.1 of the report.
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
        keep_input: bool = False,
    ):
        super().__init__()
        self.keep_input = keep_input
        self.level_dims = [in_dim, hidden_dim] if keep_input else [hidden_dim]
        self.scales = MultiscaleConvolution(in_dim, hidden_dim, tuple(kernel_frames))
        if block_frames % 2 == 0:
            raise SettingsError(f"block_frames = {block_frames}: expected an odd number of frames.")
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(hidden_dim, hidden_dim, block_frames, padding="same"),
                norm_layer(norm, hidden_dim),
                nn.ReLU() if activation == "relu" else nn.GELU(),
                nn.Dropout(dropout),
            )
            for _ in range(depth)
        )

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Frames per second of each level."""
        return [input_frame_hz] * len(self.level_dims)

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Seconds of input that a frame of each level sees, summed over the layers."""
        frames = 1 + max(_reach(branch) for branch in self.scales.branches)
        frames += sum(_reach(block[0]) for block in self.blocks)
        fields = [1, frames] if self.keep_input else [frames]
        return [field / input_frame_hz for field in fields]

    def forward(
        self, frames: Float[Tensor, "batch frame feature"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        latents = self.scales(rearrange(frames, "b t c -> b c t"))
        for index, block in enumerate(self.blocks):
            # The first block is the report's; a deeper one adds to what is there.
            latents = block(latents) if index == 0 else latents + block(latents)
        latents = rearrange(latents, "b c t -> b t c")
        return [frames, latents] if self.keep_input else [latents]


def norm_layer(name: str, dim: int) -> nn.Module:
    """A normalisation of (batch, feature, frame) by name."""
    if name == "layer":
        return FrameNorm(dim)
    if name == "group":
        return nn.GroupNorm(1, dim)
    return nn.BatchNorm1d(dim) if name == "batch" else nn.Identity()


def _reach(conv: nn.Conv1d) -> int:
    return (conv.kernel_size[0] - 1) * conv.dilation[0]
