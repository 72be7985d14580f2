"""Convolutions for what is local, then a transformer for the rest, as in wav2vec 2.0."""

import math
from typing import Annotated

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.attention import SoftmaxAttention, transformer_blocks
from subtr.encoders.convolutions import FrameConvolution, FrameNorm, receptive_frames
from subtr.params import SettingsError

Frames = Annotated[
    tuple[Annotated[int, Field(ge=1, le=512)], ...], Field(min_length=1, max_length=16)
]


class ConvTransformerEncoder(nn.Module):
    """Strided convolutions, then a transformer whose positions come from a grouped convolution.

    Arguments
        in_dim: features of a frame; 1 for samples of sound.
        conv_dim: features of the strided convolutions; the paper has 512.
        kernel_frames, strides: of each convolution; the paper has (10, 3, 3, 3, 3, 2, 2) and
            (5, 2, 2, 2, 2, 2, 2) from samples at 16 kHz. Every ``prod(strides)`` frames give one of
            the result; the ends are padded, unlike the paper's.
        hidden_dim: features of the transformer and of the result; the paper has 768.
        n_heads, depth, feedforward_dim: heads, blocks and inner features of the transformer; the
            paper has 12, 12 and 3072.
        position_frames, position_groups: kernel and groups of the convolution that stands for
            relative positions; the paper has 128 and 16.
        pre_norm: layer norm before attention and maps, and at the end; otherwise after each sum.
        keep_convolutions: put what the strided convolutions give before the result, as a finer
            level.
        causal: a frame sees nothing after the frames that it stands for.
        dropout: fraction of features and attention weights dropped in training.

    Raises
        SettingsError: kernels and strides do not fit each other, features do not divide among heads
            or groups; or, when it is applied, the frames are no multiple of the strides.

    Source: section 2.2 of the report; Baevski et al. 2020, section 2. Neither its quantiser nor its
    masking is here.
    """

    def __init__(
        self,
        in_dim: int,
        *,
        conv_dim: Annotated[int, Field(ge=1, le=8192)] = 64,
        kernel_frames: Frames = (4, 4),
        strides: Frames = (2, 2),
        hidden_dim: Annotated[int, Field(ge=1, le=8192)] = 64,
        n_heads: Annotated[int, Field(ge=1, le=256)] = 4,
        depth: Annotated[int, Field(ge=1, le=64)] = 2,
        feedforward_dim: Annotated[int, Field(ge=1, le=65536)] = 256,
        position_frames: Annotated[int, Field(ge=1, le=512)] = 16,
        position_groups: Annotated[int, Field(ge=1, le=512)] = 4,
        pre_norm: bool = True,
        keep_convolutions: bool = False,
        causal: bool = False,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ):
        super().__init__()
        if len(kernel_frames) != len(strides):
            raise SettingsError(
                f"strides = {tuple(strides)}: expected {len(kernel_frames)} numbers, one for each "
                f"of kernel_frames, {tuple(kernel_frames)}."
            )
        if hidden_dim % position_groups:
            raise SettingsError(
                f"position_groups = {position_groups}: {hidden_dim} features do not divide among "
                "them."
            )
        self.causal, self.keep_convolutions = causal, keep_convolutions
        self.level_dims = [conv_dim, hidden_dim] if keep_convolutions else [hidden_dim]
        dims = [in_dim] + [conv_dim] * (len(strides) - 1)
        self.convolutions = nn.ModuleList(
            FrameConvolution(dim, conv_dim, kernel, stride=stride, causal=causal)
            for dim, kernel, stride in zip(dims, kernel_frames, strides, strict=True)
        )
        self.conv_norms = nn.ModuleList(FrameNorm(conv_dim) for _ in strides)
        self.input = nn.Sequential(nn.LayerNorm(conv_dim), nn.Linear(conv_dim, hidden_dim))
        self.position = FrameConvolution(
            hidden_dim, hidden_dim, position_frames, causal=causal, groups=position_groups
        )
        # With norms before each sum, the first block begins with one.
        self.position_norm = nn.Identity() if pre_norm else nn.LayerNorm(hidden_dim)
        self.blocks = transformer_blocks(
            [
                SoftmaxAttention(hidden_dim, n_heads, causal=causal, dropout=dropout)
                for _ in range(depth)
            ],
            hidden_dim,
            feedforward_dim,
            pre_norm=pre_norm,
            activation="gelu",
            dropout=dropout,
        )

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Frames per second of each level."""
        stride = math.prod(convolution.stride for convolution in self.convolutions)
        return [input_frame_hz / stride] * len(self.level_dims)

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Seconds of input that a frame of each level sees; infinite after the transformer."""
        local_s = receptive_frames(self.convolutions) / input_frame_hz
        return [local_s, math.inf] if self.keep_convolutions else [math.inf]

    def forward(
        self, frames: Float[Tensor, "batch frame feature"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        local = rearrange(frames, "b t c -> b c t")
        for convolution, norm in zip(self.convolutions, self.conv_norms, strict=True):
            local = F.gelu(norm(convolution(local)))
        local = rearrange(local, "b c t -> b t c")
        latents = self.input(local)
        position = F.gelu(self.position(rearrange(latents, "b t c -> b c t")))
        latents = self.position_norm(latents + rearrange(position, "b c t -> b t c"))
        latents = self.blocks(latents)
        return [local, latents] if self.keep_convolutions else [latents]
