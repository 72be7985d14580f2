"""Two pathways: few pictures with many features, all with few, and the second tells the first."""

from typing import Annotated, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.convolutions import activation_layer
from subtr.encoders.video_convolutions import PictureVector, VideoConvolution, halved, video_norm
from subtr.params import SettingsError

EXPANSION = 4


class Bottleneck(nn.Module):
    """Few features, convolved over frames, then over pixels, then widened, added to what came in.

    Source: He et al. 2016, figure 5, with a kernel over frames in the first convolution
    (Feichtenhofer et al. 2019, table 1).
    """

    def __init__(
        self, dim: int, inner: int, kernel_frames: int, stride_pixels: int, norm: str, act: str
    ):
        super().__init__()
        out_dim = EXPANSION * inner
        self.body = nn.Sequential(
            VideoConvolution(dim, inner, kernel_frames, 1, bias=False),
            video_norm(norm, inner),
            activation_layer(act),
            VideoConvolution(inner, inner, 1, 3, stride_pixels=stride_pixels, bias=False),
            video_norm(norm, inner),
            activation_layer(act),
            VideoConvolution(inner, out_dim, 1, 1, bias=False),
            video_norm(norm, out_dim),
        )
        self.shortcut = nn.Identity()
        if stride_pixels > 1 or dim != out_dim:
            resized = VideoConvolution(dim, out_dim, 1, 1, stride_pixels=stride_pixels, bias=False)
            self.shortcut = nn.Sequential(resized, video_norm(norm, out_dim))
        self.activation = activation_layer(act)

    def forward(self, film: Tensor) -> Tensor:
        return self.activation(self.body(film) + self.shortcut(film))


class SlowfastEncoder(nn.Module):
    """A network of all pictures, one of every few, and convolutions from the first to the second.

    Before each stage of blocks the fast pathway's features, convolved over frames down to the slow
    one's rate, are put beside its own. Levels: the fast pathway, then the slow one.

    Arguments
        height, width: pixels of a picture. Each pathway begins by making 4 x 4 of them one, and
            every stage but the first halves what is left.
        blocks: bottleneck blocks of each stage; ResNet-50 has 3, 4, 6, 3.
        slow_features: inner features of the slow pathway's first stage, twice as many in each
            further one; the paper has 64.
        fast_share: the slow pathway has that many times the features of the fast one; the paper's
            1 / beta, 8.
        slow_frames: pictures for each that the slow pathway sees, of which it takes the middle one
            (the earlier of two); the paper's alpha, 8 or 4.
        lateral_frames: length of the convolutions from fast to slow; the paper has 5.
        hidden_dims: features of the fast and of the slow level; 0 leaves out the linear map.
        space: "map", a linear map of all pixels, or "mean" over pixels first as in the paper.
        norm: "layer" (each frame on its own), "batch" as in the paper, or "none".
        activation: "gelu", or "relu" as in the paper.

    Raises
        SettingsError: features that ``fast_share`` does not divide; or, when it is applied, frames
            that are no multiple of ``slow_frames``.

    Source: Feichtenhofer et al. 2019 (SlowFast), section 3 and table 1: the slow pathway looks over
    frames in its last two stages alone.
    """

    def __init__(
        self,
        height: int,
        width: int,
        *,
        blocks: Annotated[
            tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1, max_length=6)
        ] = (1, 1, 1),
        slow_features: Annotated[int, Field(ge=1, le=512)] = 16,
        fast_share: Annotated[int, Field(ge=1, le=64)] = 4,
        slow_frames: Annotated[int, Field(ge=1, le=64)] = 4,
        lateral_frames: Annotated[int, Field(ge=1, le=63)] = 5,
        hidden_dims: tuple[
            Annotated[int, Field(ge=0, le=8192)], Annotated[int, Field(ge=0, le=8192)]
        ] = (32, 128),
        space: Literal["map", "mean"] = "map",
        norm: Literal["layer", "batch", "none"] = "layer",
        activation: Literal["relu", "gelu"] = "gelu",
    ):
        super().__init__()
        if slow_features % fast_share:
            raise SettingsError(
                f"fast_share = {fast_share}: expected a divisor of slow_features = {slow_features}."
            )
        self.slow_frames = slow_frames
        fast_features = slow_features // fast_share

        def ended(convolution: VideoConvolution) -> list[nn.Module]:
            out_dim = convolution.convolution.out_channels
            return [convolution, video_norm(norm, out_dim), activation_layer(activation)]

        def stem(features: int, kernel_frames: int) -> nn.Sequential:
            first = VideoConvolution(3, features, kernel_frames, 7, stride_pixels=2, bias=False)
            return nn.Sequential(*ended(first), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)))

        def stage(number: int, dim: int, features: int, kernel_frames: int) -> nn.Sequential:
            inner, made = features * 2**number, []
            for block in range(blocks[number]):
                stride = 2 if number and not block else 1
                made.append(Bottleneck(dim, inner, kernel_frames, stride, norm, activation))
                dim = EXPANSION * inner
            return nn.Sequential(*made)

        self.fast_stem, self.slow_stem = stem(fast_features, 5), stem(slow_features, 1)
        self.laterals, self.fast, self.slow = (nn.ModuleList() for _ in range(3))
        fast_dim, slow_dim = fast_features, slow_features
        for number in range(len(blocks)):
            lateral = VideoConvolution(
                fast_dim,
                2 * fast_dim,
                lateral_frames,
                1,
                stride=slow_frames,
                bias=False,
                may_skip=True,  # the paper's 5 frames of 8, which have each seen their neighbours
            )
            self.laterals.append(nn.Sequential(*ended(lateral)))
            self.fast.append(stage(number, fast_dim, fast_features, 3))
            slow_kernel = 3 if number >= len(blocks) - 2 else 1
            self.slow.append(stage(number, slow_dim + 2 * fast_dim, slow_features, slow_kernel))
            fast_dim, slow_dim = (
                EXPANSION * features * 2**number for features in (fast_features, slow_features)
            )
        left = [halved(pixels, len(blocks) + 1) for pixels in (height, width)]
        self.vectors = nn.ModuleList(
            PictureVector(dim, *left, hidden_dim, space)
            for dim, hidden_dim in zip((fast_dim, slow_dim), hidden_dims, strict=True)
        )
        self.level_dims = [vector.out_dim for vector in self.vectors]

    def frame_hz(self, input_frame_hz: float) -> list[float]:
        """Pictures per second of the fast and of the slow level."""
        return [input_frame_hz, input_frame_hz / self.slow_frames]

    def receptive_field_s(self, input_frame_hz: float) -> list[float]:
        """Seconds of input that a latent of each level sees, the slow one through the fast too."""
        middle = (self.slow_frames - 1) // 2
        fast, slow = _widened((0, 0), self.fast_stem[0]), (middle, middle)
        for lateral, fast_stage, slow_stage in zip(
            self.laterals, self.fast, self.slow, strict=True
        ):
            told = _widened(fast, lateral[0])
            slow = min(slow[0], told[0]), max(slow[1], told[1])
            for block in fast_stage:
                fast = _widened(fast, block.body[0])
            for block in slow_stage:
                slow = _widened(slow, block.body[0], hop=self.slow_frames)
        return [(last - first + 1) / input_frame_hz for first, last in (fast, slow)]

    def forward(
        self, pictures: Float[Tensor, "batch frame rgb height width"]
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        film = rearrange(pictures, "b t c h w -> b c t h w")
        fast = self.fast_stem(film)
        slow = self.slow_stem(film[:, :, (self.slow_frames - 1) // 2 :: self.slow_frames])
        for lateral, fast_stage, slow_stage in zip(
            self.laterals, self.fast, self.slow, strict=True
        ):
            slow = slow_stage(torch.cat([slow, lateral(fast)], dim=1))
            fast = fast_stage(fast)
        return [vector(level) for vector, level in zip(self.vectors, (fast, slow), strict=True)]


def _widened(seen: tuple[int, int], layer: VideoConvolution, hop: int = 1) -> tuple[int, int]:
    """First and last input frame, counted from the first that a latent stands for."""
    before = layer.padding[0]
    return seen[0] - before * hop, seen[1] + (layer.reach - before) * hop
