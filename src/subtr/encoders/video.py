"""Encoders of pictures: 2D, frame difference, flow, two-stream, SlowFast and TimeSformer."""

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.encoders.attention import SoftmaxAttention, TransformerBlock, sinusoids
from subtr.encoders.convolutional import Activation, Encoder, Levels, Pictures, activation_layer
from subtr.params import Depth, Dim, DimOrNone, Dims, Fraction, Number, SettingsError, WideDim
from subtr.stimulus.flow import optical_flow

Space = Literal["map", "mean"]

VideoNorm = Literal["layer", "batch", "none"]


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


class Frame2dEncoder(Encoder):
    """Convolutions that halve each picture, then a linear map to one vector a picture.

    Arguments
        height, width: pixels of a picture.
        channels: features of each halving convolution.
        hidden_dim: features of a picture in the result.
    """

    def __init__(
        self, height: int, width: int, *, channels: Dims = (16, 32, 64), hidden_dim: Dim = 128
    ):
        super().__init__()
        layers, dim = [], 3
        for wider in channels:
            layers += [nn.Conv2d(dim, wider, 3, stride=2, padding=1), nn.GroupNorm(1, wider)]
            layers.append(nn.GELU())
            dim, height, width = wider, halved(height), halved(width)
        self.convolutions = nn.Sequential(*layers)
        self.map = nn.Linear(dim * height * width, hidden_dim)
        self.level_dims = [hidden_dim]

    def forward(self, pictures: Pictures) -> Levels:
        n_frames = pictures.shape[1]
        features = self.convolutions(rearrange(pictures, "b t c h w -> (b t) c h w"))
        vectors = self.map(torch.flatten(features, 1))
        return [rearrange(vectors, "(b t) d -> b t d", t=n_frames)]


_SHARE_OF_WIDTH = 1 / 32


@torch.no_grad()
def flow_pictures(
    pictures: Float[Tensor, "batch frame rgb height width"],
) -> Float[Tensor, "batch frame channel height width"]:
    """Optical flow as pictures of three channels: to the right, down, and how far.

    1 is a 32nd of the picture's width per picture, so that usual motion is of order 1 at any size.
    What is learned never changes flow, so no gradient goes through it.

    Source: Simonyan and Zisserman 2014 (Two-Stream), section 3, for two channels; the length beside
    them makes the three that networks of pictures take.
    """
    shown = rearrange(pictures, "b t c h w -> b t h w c").float().cpu().numpy()
    flow = torch.from_numpy(optical_flow(shown)).to(pictures)
    flow = rearrange(flow, "b t h w c -> b t c h w") / (_SHARE_OF_WIDTH * pictures.shape[-1])
    return torch.cat([flow, flow.norm(dim=2, keepdim=True)], dim=2)


class FlowEncoder(Frame2dEncoder):
    """`Frame2dEncoder` on optical flow, picture by picture; the first of a window has none.

    Arguments: see `Frame2dEncoder`.

    Source: the motion stream of Simonyan and Zisserman 2014 (Two-Stream), section 3.
    """

    level_fields = (2,)  # its picture and the one before

    def forward(self, pictures: Pictures) -> Levels:
        return super().forward(flow_pictures(pictures))


def differences(
    pictures: Float[Tensor, "batch frame rgb height width"],
) -> Float[Tensor, "batch frame rgb height width"]:
    """Each picture less the one before it; zero for the first, which has none.

    Source: section 3.2 of the report, I(t+1) - I(t), kept at t+1 so that none looks ahead.
    """
    return torch.diff(pictures, dim=1, prepend=pictures[:, :1])


class TwoStreamEncoder(Encoder):
    """A 2D network for pictures and another for their motion, fused picture by picture.

    Arguments
        height, width: pixels of a picture.
        channels, motion_channels: features of each halving convolution of the two networks.
        hidden_dim: features of a picture in each stream.
        motion: "differences" of consecutive pictures, or optical "flow" between them, which costs
            more and knows where things went.
        fusion: "map", a linear map of both to ``hidden_dim`` features; "mean" of both, as the paper
            fuses scores; or "concatenate", which leaves 2 ``hidden_dim`` features.

    Source: section 3.2 of the report; Simonyan and Zisserman 2014 (Two-Stream), section 2, with
    "flow"; differences of pictures are the report's lighter way.
    """

    level_fields = (2,)  # its picture and the one before

    def __init__(
        self,
        height: int,
        width: int,
        *,
        channels: Dims = (16, 32, 64),
        motion_channels: Dims = (8, 16, 32),
        hidden_dim: Dim = 128,
        motion: Literal["differences", "flow"] = "differences",
        fusion: Literal["map", "mean", "concatenate"] = "map",
    ):
        super().__init__()
        self.appearance = Frame2dEncoder(height, width, channels=channels, hidden_dim=hidden_dim)
        self.moved = flow_pictures if motion == "flow" else differences
        self.motion = Frame2dEncoder(height, width, channels=motion_channels, hidden_dim=hidden_dim)
        self.fusion = fusion
        self.map = nn.Linear(2 * hidden_dim, hidden_dim) if fusion == "map" else nn.Identity()
        self.level_dims = [2 * hidden_dim if fusion == "concatenate" else hidden_dim]

    def forward(self, pictures: Pictures) -> Levels:
        (appearance,), (motion,) = self.appearance(pictures), self.motion(self.moved(pictures))
        if self.fusion == "mean":
            return [(appearance + motion) / 2]
        return [self.map(torch.cat([appearance, motion], dim=-1))]


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


class SlowfastEncoder(Encoder):
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
        blocks: Annotated[tuple[Depth, ...], Field(min_length=1, max_length=6)] = (1, 1, 1),
        slow_features: Annotated[int, Field(ge=1, le=512)] = 16,
        fast_share: Depth = 4,
        slow_frames: Depth = 4,
        lateral_frames: Annotated[int, Field(ge=1, le=63)] = 5,
        hidden_dims: tuple[DimOrNone, DimOrNone] = (32, 128),
        space: Space = "map",
        norm: VideoNorm = "layer",
        activation: Activation = "gelu",
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
        self.level_strides = [1, slow_frames]
        self.level_fields = [last - first + 1 for first, last in self._seen()]

    def _seen(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First and last frame that a latent of each pathway sees, the slow one by the fast too."""
        middle = (self.slow_frames - 1) // 2
        fast, slow = _widened((0, 0), self.fast_stem[0]), (middle, middle)
        stages = zip(self.laterals, self.fast, self.slow, strict=True)
        for lateral, fast_stage, slow_stage in stages:
            told = _widened(fast, lateral[0])
            slow = min(slow[0], told[0]), max(slow[1], told[1])
            for block in fast_stage:
                fast = _widened(fast, block.body[0])
            for block in slow_stage:
                slow = _widened(slow, block.body[0], hop=self.slow_frames)
        return fast, slow

    def forward(self, pictures: Pictures) -> Levels:
        film = rearrange(pictures, "b t c h w -> b c t h w")
        fast = self.fast_stem(film)
        slow = self.slow_stem(film[:, :, (self.slow_frames - 1) // 2 :: self.slow_frames])
        stages = zip(self.laterals, self.fast, self.slow, strict=True)
        for lateral, fast_stage, slow_stage in stages:
            slow = slow_stage(torch.cat([slow, lateral(fast)], dim=1))
            fast = fast_stage(fast)
        return [vector(level) for vector, level in zip(self.vectors, (fast, slow), strict=True)]


def _widened(seen: tuple[int, int], layer: VideoConvolution, hop: int = 1) -> tuple[int, int]:
    """First and last input frame, counted from the first that a latent stands for."""
    before = layer.padding[0]
    return seen[0] - before * hop, seen[1] + (layer.reach - before) * hop


_REACH_FRAMES = 8


class DividedBlock(nn.Module):
    """Attention over the frames of each patch, over the patches of each frame, then two maps.

    Arguments
        dim: features of a patch, a multiple of ``n_heads``.
        n_heads: attentions side by side, in time and in space.
        feedforward_dim: features between the two maps.
        dropout: fraction of features and attention weights dropped in training.
        rotary, reach_frames: how attention in time knows how far apart frames are, see
            `SoftmaxAttention`.

    A layer norm comes before each of the three, and each is added to what came in.

    Raises
        SettingsError: the features do not divide among the heads.

    Source: Bertasius et al. 2021 (TimeSformer), section 3, "divided space-time attention". The
    linear map that the authors' code adds after attention in time is left out.
    """

    def __init__(
        self,
        dim: int,
        n_heads: int,
        feedforward_dim: int,
        dropout: float = 0.0,
        rotary: bool = False,
        reach_frames: int = 0,
    ):
        super().__init__()
        self.time_norm = nn.LayerNorm(dim)
        self.time = SoftmaxAttention(
            dim, n_heads, rotary=rotary, reach_frames=reach_frames, dropout=dropout
        )
        self.dropout = nn.Dropout(dropout)
        self.space = TransformerBlock(
            SoftmaxAttention(dim, n_heads, dropout=dropout), dim, feedforward_dim, dropout=dropout
        )

    def forward(
        self, patches: Float[Tensor, "batch frame patch dim"]
    ) -> Float[Tensor, "batch frame patch dim"]:
        n_batch, n_frames = patches.shape[:2]
        tracks = rearrange(patches, "b t n d -> (b n) t d")
        tracks = tracks + self.dropout(self.time(self.time_norm(tracks)))
        pictures = rearrange(tracks, "(b n) t d -> (b t) n d", b=n_batch)
        return rearrange(self.space(pictures), "(b t) n d -> b t n d", t=n_frames)


class TimesformerEncoder(Encoder):
    """Patches of pictures, blocks of divided attention, one vector a picture.

    Arguments
        height, width: pixels of a picture; zeros at the lower right fill the last patches.
        patch_pixels: side of a patch.
        dim: features of a patch.
        n_heads: attentions side by side.
        depth: blocks.
        feedforward_dim: features between the two maps of a block.
        hidden_dim: features of a picture in the result; 0 leaves out the linear map.
        space: "map", a linear map of all patches, or "mean" over patches first.
        positions: what tells frames apart: "absolute", sines and cosines of the frame's number, so
            that any number of frames is taken; "rotary", attention in time turns with how far apart
            two frames are; "relative", it adds a learned weight of each distance of up to 8 frames;
            "none", and time has no order. Where a patch lies is learned.
        dropout: fraction of features and attention weights dropped in training.

    Raises
        SettingsError: the features do not divide among the heads.

    Source: Bertasius et al. 2021 (TimeSformer). Without its class token, for each picture keeps a
    vector of its own; its learned numbers of frames are sines and cosines here.
    """

    level_fields = (math.inf,)

    def __init__(
        self,
        height: int,
        width: int,
        *,
        patch_pixels: Depth = 8,
        dim: Dim = 64,
        n_heads: Number = 4,
        depth: Depth = 2,
        feedforward_dim: WideDim = 128,
        hidden_dim: DimOrNone = 128,
        space: Space = "map",
        positions: Literal["absolute", "rotary", "relative", "none"] = "absolute",
        dropout: Fraction = 0.0,
    ):
        super().__init__()
        self.positions = positions
        rows, columns = (math.ceil(pixels / patch_pixels) for pixels in (height, width))
        self.added = (0, columns * patch_pixels - width, 0, rows * patch_pixels - height)
        self.patches = nn.Conv2d(3, dim, patch_pixels, stride=patch_pixels)
        self.places = nn.Parameter(0.02 * torch.randn(rows * columns, dim))
        of_time = positions == "rotary", _REACH_FRAMES if positions == "relative" else 0
        self.blocks = nn.Sequential(
            *(DividedBlock(dim, n_heads, feedforward_dim, dropout, *of_time) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(dim)
        self.vector = PictureVector(dim, rows, columns, hidden_dim, space)
        self.level_dims = [self.vector.out_dim]
        self.rows = rows

    def forward(self, pictures: Pictures) -> Levels:
        n_frames = pictures.shape[1]
        patches = self.patches(F.pad(rearrange(pictures, "b t c h w -> (b t) c h w"), self.added))
        patches = rearrange(patches, "(b t) d r c -> b t (r c) d", t=n_frames) + self.places
        if self.positions == "absolute":
            patches = patches + sinusoids(n_frames, self.places)[:, None]
        latents = self.norm(self.blocks(patches))
        return [self.vector(rearrange(latents, "b t (r c) d -> b d t r c", r=self.rows))]
