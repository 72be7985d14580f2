"""Layers of films that encoders share: convolutions over frames and pixels, norms, one vector."""

from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from subtr.params import SettingsError


class VideoConvolution(nn.Module):
    """A convolution over frames and pixels; every ``stride`` frames give one.

    Arguments
        dim, out_dim: features of a pixel before and after.
        kernel_frames, kernel_pixels: size of the kernel, the latter odd and that of both sides.
        stride: frames of the input for each of the result. The number of frames must be a multiple.
        stride_pixels: rows, and columns, of the input for each of the result.
        bias: whether a number is added to each feature.
        ends: what stands before the first frame and after the last: "zeros", or "repeat" the frame.
        may_skip: whether a kernel shorter than the stride, which skips frames, is let through.

    Raises
        SettingsError: a kernel shorter than the stride would skip frames; or, when it is applied,
            frames that are no multiple of the stride.

    A frame of the result sees as much before as after the frames that it stands for, or one more.
    """

    def __init__(
        self,
        dim: int,
        out_dim: int,
        kernel_frames: int,
        kernel_pixels: int,
        *,
        stride: int = 1,
        stride_pixels: int = 1,
        bias: bool = True,
        ends: Literal["zeros", "repeat"] = "zeros",
        may_skip: bool = False,
    ):
        super().__init__()
        if kernel_frames < stride and not may_skip:
            raise SettingsError(
                f"a kernel of {kernel_frames} frames with stride {stride} would skip frames: "
                f"expected a kernel of at least {stride} frames."
            )
        border = kernel_pixels // 2
        self.convolution = nn.Conv3d(
            dim,
            out_dim,
            (kernel_frames, kernel_pixels, kernel_pixels),
            (stride, stride_pixels, stride_pixels),
            (0, border, border),
            bias=bias,
        )
        self.stride, self.reach, self.ends = stride, kernel_frames - 1, ends
        added = self.reach + 1 - stride
        self.padding = ((added + 1) // 2, added // 2)

    def forward(
        self, film: Float[Tensor, "batch dim frame height width"]
    ) -> Float[Tensor, "batch out strided _height _width"]:
        if film.shape[2] % self.stride:
            raise SettingsError(
                f"{film.shape[2]} frames cannot be taken {self.stride} at a time: choose frames of "
                "a TR and of context, or the encoder's strides, so that they divide."
            )
        if any(self.padding):
            mode = "constant" if self.ends == "zeros" else "replicate"
            film = F.pad(film, (0, 0, 0, 0, *self.padding), mode=mode)
        return self.convolution(film)


class PictureNorm(nn.Module):
    """Mean and variance of all features and pixels of each frame on its own."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm = nn.GroupNorm(1, dim)

    def forward(self, film: Tensor) -> Tensor:
        pictures = self.norm(rearrange(film, "b c t h w -> (b t) c h w"))
        return rearrange(pictures, "(b t) c h w -> b c t h w", t=film.shape[2])


def video_norm(name: str, dim: int) -> nn.Module:
    """A normalisation of (batch, feature, frame, height, width) by name: layer, batch or none."""
    if name == "layer":
        return PictureNorm(dim)
    return nn.BatchNorm3d(dim) if name == "batch" else nn.Identity()


class PictureVector(nn.Module):
    """The pixels of each frame to one vector.

    Arguments
        dim, height, width: features and pixels of a frame.
        hidden_dim: features of the vector; 0 for no linear map.
        space: "map" keeps where things are, "mean" takes the mean over pixels first.

    ``out_dim`` is the size of the vector.
    """

    def __init__(self, dim: int, height: int, width: int, hidden_dim: int, space: str):
        super().__init__()
        self.space = space
        in_dim = dim * height * width if space == "map" else dim
        self.map = nn.Linear(in_dim, hidden_dim) if hidden_dim else nn.Identity()
        self.out_dim = hidden_dim or in_dim

    def forward(
        self, film: Float[Tensor, "batch dim frame height width"]
    ) -> Float[Tensor, "batch frame out"]:
        if self.space == "mean":
            return self.map(rearrange(film.mean((3, 4)), "b c t -> b t c"))
        return self.map(torch.flatten(rearrange(film, "b c t h w -> b t c h w"), 2))


def halved(n_pixels: int, times: int = 1) -> int:
    """Pixels of a side that are left after convolutions of stride 2 padded by half a kernel."""
    for _ in range(times):
        n_pixels = (n_pixels + 1) // 2
    return n_pixels
