"""Learned aggregation of a TR's frames: linear, convolutions, kernels, pyramid and blocks."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from subtr.aggregators.pooling import Level, Levels, Vector
from subtr.params import Dim, NFrames, Number, SettingsError
from subtr.stimulus.pictures import Blocks


class ConvReduction(nn.Module):
    """Convolutions of stride 2 until at most ``last_frames`` remain, flattened in order of time.

    Arguments
        level_dim, n_frames: features and frames of the level; any number of frames.
        hidden_dim: features of the convolutions.
        last_frames: the convolutions end at this many frames or fewer.
    """

    def __init__(self, level_dim: int, n_frames: int, hidden_dim: int, last_frames: int):
        super().__init__()
        layers, dim = [], level_dim
        while n_frames > last_frames:
            layers += [nn.Conv1d(dim, hidden_dim, 3, stride=2, padding=1), nn.GELU()]
            dim, n_frames = hidden_dim, (n_frames + 1) // 2
        self.layers = nn.Sequential(*layers)
        self.out_dim = dim * n_frames

    def forward(self, level: Level) -> Float[Tensor, "batch flat"]:
        return rearrange(self.layers(rearrange(level, "b t d -> b d t")), "b d t -> b (t d)")


class ConvAggregator(nn.Module):
    """Learned strided convolutions over the frames of each level, flattened to a linear map.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
        hidden_dim: features of the convolutions.
        last_frames: frames at which the convolutions hand over to the linear map.

    Source: section 4.2 of the report, without the average at its end.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        hidden_dim: Dim = 128,
        last_frames: NFrames = 8,
    ):
        super().__init__()
        self.reductions = nn.ModuleList(
            ConvReduction(level_dim, n_frames, hidden_dim, last_frames)
            for level_dim, n_frames in zip(level_dims, level_frames, strict=True)
        )
        self.map = nn.Linear(sum(reduction.out_dim for reduction in self.reductions), dim)

    def forward(self, levels: Levels) -> Vector:
        flat = [reduction(level) for reduction, level in zip(self.reductions, levels, strict=True)]
        return self.map(torch.cat(flat, dim=-1))


class _WithDeeperLevels(nn.Module):
    """A vector of the finest level, to which deeper ones add by maps that start at zero."""

    def __init__(self, basis: nn.Linear, level_dims, level_frames, dim, hidden_dim, last_frames):
        super().__init__()
        self.basis = basis
        self.reductions = nn.ModuleList(
            ConvReduction(level_dim, n_frames, hidden_dim, last_frames)
            for level_dim, n_frames in zip(level_dims[1:], level_frames[1:], strict=True)
        )
        self.maps = nn.ModuleList(nn.Linear(part.out_dim, dim) for part in self.reductions)
        for added in self.maps:
            nn.init.zeros_(added.weight)
            nn.init.zeros_(added.bias)

    def _with_deeper(self, vector: Vector, levels: Levels) -> Vector:
        for level, reduction, added in zip(levels[1:], self.reductions, self.maps, strict=True):
            vector = vector + added(reduction(level))
        return vector

    @torch.no_grad()
    def _start_basis(self, analysis: Tensor, offset: Tensor) -> list[nn.Parameter]:
        self.basis.weight.copy_(analysis)
        self.basis.bias.copy_(offset)
        return [self.basis.weight, self.basis.bias]


class LinearAggregator(_WithDeeperLevels):
    """One linear map of all frames and features of the finest level at once.

    It can do what PCA of the flattened window does and is started there (see ``start_from``);
    training goes on from it. Deeper levels add to the vector through strided convolutions whose
    last map starts at zero.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
        hidden_dim: features of the convolutions over deeper levels.
        last_frames: frames at which these hand over to a linear map.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        hidden_dim: Dim = 128,
        last_frames: NFrames = 8,
    ):
        basis = nn.Linear(level_dims[0] * level_frames[0], dim)
        super().__init__(basis, level_dims, level_frames, dim, hidden_dim, last_frames)

    def start_from(
        self, analysis: Float[Tensor, "dim flat"], offset: Float[Tensor, " dim"]
    ) -> list[nn.Parameter]:
        """Sets the basis, a row for each number of the vector, and what is added to each.

        Gives what it set.

        Raises
            SettingsError: the finest level is not what the analysis is of.
        """
        n_values = self.basis.in_features
        if analysis.shape[1] != n_values:
            raise SettingsError(
                f"start = 'pca': components of {analysis.shape[1]} values, but the finest level "
                f"has {n_values}; set stream.keep_input = true, so that the frames are it."
            )
        return self._start_basis(analysis, offset)

    def forward(self, levels: Levels) -> Vector:
        return self._with_deeper(self.basis(rearrange(levels[0], "b t d -> b (t d)")), levels)


def time_cosines(
    n_cosines: int, n_frames: int, device: torch.device | None = None
) -> Float[Tensor, "cosine frame"]:
    """Cosines of 0, 1, 2, ... half waves over the TR, at the middles of its frames."""
    fraction = (torch.arange(n_frames, device=device) + 0.5) / n_frames
    half_waves = torch.arange(n_cosines, device=device)
    return torch.cos(math.pi * half_waves[:, None] * fraction)


class KernelAggregator(nn.Module):
    """Sums of each level's frames under a few learned kernels; these go to a linear map.

    A kernel is a weighted sum of cosines over the TR, from none (an average) to ``n_cosines`` - 1
    half waves. Kernel k starts as the cosine of k half waves: the first is the average, the second
    tells rise from fall. Unlike attention it can subtract, and with a handful of weights it needs
    far fewer TRs than a free weight for each frame and feature.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
        n_kernels: kernels, shared by the features of a level.
        n_cosines: cosines that kernels are made of.

    Raises
        SettingsError: more kernels than cosines.

    Source: "learned temporal kernels", section 4.2 of the report.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        n_kernels: Number = 4,
        n_cosines: Number = 8,
    ):
        super().__init__()
        if n_kernels > n_cosines:
            raise SettingsError(f"n_kernels = {n_kernels}: expected at most n_cosines, {n_cosines}")
        self.n_cosines = n_cosines
        start = torch.eye(n_kernels, n_cosines).repeat(len(level_dims), 1, 1)
        self.weights = nn.Parameter(start)
        self.map = nn.Linear(n_kernels * sum(level_dims), dim)

    def kernels(self, n_frames: int) -> Float[Tensor, "level kernel frame"]:
        """The kernels at the frames of a TR; they are functions of time, so any number will do."""
        cosines = time_cosines(self.n_cosines, n_frames, self.weights.device)
        return self.weights @ cosines.to(self.weights.dtype) / n_frames

    def forward(self, levels: Levels) -> Vector:
        sums = []
        for index, level in enumerate(levels):
            kernels = self.kernels(level.shape[1])[index]
            weighted = torch.einsum("k t, b t d -> b k d", kernels, level)
            sums.append(rearrange(weighted, "b k d -> b (k d)"))
        return self.map(torch.cat(sums, dim=-1))


class ParcelKernelAggregator(nn.Module):
    """Every output has its own smooth kernels over the TR, and its own feature weights for each.

    An output's weight of (frame, feature) is a sum of ``rank`` products kernel x features in each
    level: it can listen to one thing early and to another late, with ``n_cosines`` + features
    numbers a product instead of frames x features. The first kernel of every output starts as the
    average over the TR, further ones as cosines of 1, 2, ... half waves. What follows may mix the
    outputs of the vector; where it is the response itself they are the parcels'.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector.
        rank: products of kernel and features for each output and level.
        n_cosines: cosines over the TR that kernels are made of.

    Raises
        SettingsError: higher rank than cosines.

    Source: "different weights for different brain regions", section 4.2 of the report.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        rank: Number = 1,
        n_cosines: Number = 8,
    ):
        super().__init__()
        if rank > n_cosines:
            raise SettingsError(f"rank = {rank}: expected at most n_cosines, {n_cosines}")
        self.n_cosines = n_cosines
        start = torch.eye(rank, n_cosines).repeat(len(level_dims), dim, 1, 1)
        self.weights = nn.Parameter(start)
        bound = (rank * sum(level_dims)) ** -0.5
        self.features = nn.ParameterList(
            torch.empty(dim, rank, level_dim).uniform_(-bound, bound) for level_dim in level_dims
        )
        self.bias = nn.Parameter(torch.zeros(dim))

    def kernels(self, n_frames: int) -> Float[Tensor, "level dim rank frame"]:
        """The kernels of every output at the frames of a TR, of which there may be any number."""
        return self.weights @ self._cosines(n_frames)

    def forward(self, levels: Levels) -> Vector:
        vector = self.bias
        for weights, features, level in zip(self.weights, self.features, levels, strict=True):
            # Cosines first: they are fewer than frames, and the same for all outputs.
            parts = torch.einsum("c t, b t d -> b c d", self._cosines(level.shape[1]), level)
            parts = torch.einsum("b c d, o r d -> b o r c", parts, features)
            vector = vector + torch.einsum("b o r c, o r c -> b o", parts, weights)
        return vector

    def _cosines(self, n_frames: int) -> Tensor:
        cosines = time_cosines(self.n_cosines, n_frames, self.weights.device)
        return cosines.to(self.weights.dtype) / n_frames


class PyramidAggregator(nn.Module):
    """Levels fused from coarse to fine, then shortened by strided convolutions to a linear map.

    From the coarsest level on, each sum so far is stretched to the frames of the next finer level
    and added to it, both in ``hidden_dim`` features; a convolution over 3 frames of the finest sum
    smooths the steps that stretching leaves. A single level is only mapped, smoothed and shortened.

    Arguments
        level_dims, level_frames: features and frames of each level, fine first; any ratio between
            the frames of two levels.
        dim: size of the vector.
        hidden_dim: features of the sums and of the convolutions.
        last_frames: frames at which the convolutions hand over to the linear map.

    Source: Lin et al. 2017, feature pyramid networks, section 3, over time instead of space. Of
    their sums the finest alone goes on, for it holds all levels.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        hidden_dim: Dim = 128,
        last_frames: NFrames = 8,
    ):
        super().__init__()
        self.laterals = nn.ModuleList(nn.Linear(level_dim, hidden_dim) for level_dim in level_dims)
        self.smooth = nn.Conv1d(hidden_dim, hidden_dim, 3, padding=1)
        self.reduction = ConvReduction(hidden_dim, level_frames[0], hidden_dim, last_frames)
        self.map = nn.Linear(self.reduction.out_dim, dim)

    def fused(self, levels: Levels) -> Float[Tensor, "batch frame hidden"]:
        """The sum of all levels at the frames of the finest, before it is smoothed."""
        *finer, total = [
            rearrange(lateral(level), "b t d -> b d t")
            for lateral, level in zip(self.laterals, levels, strict=True)
        ]
        for level in reversed(finer):
            total = level + F.interpolate(total, size=level.shape[-1], mode="nearest-exact")
        return rearrange(total, "b d t -> b t d")

    def forward(self, levels: Levels) -> Vector:
        total = rearrange(self.fused(levels), "b t d -> b d t")
        smooth = F.gelu(self.smooth(total))
        return self.map(self.reduction(rearrange(smooth, "b d t -> b t d")))


class BlockAggregator(_WithDeeperLevels):
    """The finest level is cut into blocks as long as the TR; the same map makes numbers of each.

    A map of the whole window, `LinearAggregator`, must see each thing at every place to know it.
    This one knows by seeing it anywhere. It can do what PCA of blocks does and is started there.
    Deeper levels add to the vector through strided convolutions whose last map starts at zero.

    Arguments
        level_dims, level_frames: features and frames of each level.
        dim: size of the vector, any; its order is that of `subtr.stimulus.pictures.Blocks`.
        channels, height: how the features of the finest level lie, in the order channel, row,
            column; 3 and the rows of a picture, which ``keep_input`` makes the finest level. The
            features of sound are one row.
        block: rows and columns of a block.
        hidden_dim: features of the convolutions over deeper levels.
        last_frames: frames at which these hand over to a linear map.

    Raises
        SettingsError: the features are no multiple of ``channels`` x ``height``.
    """

    def __init__(
        self,
        level_dims: list[int],
        level_frames: list[int],
        dim: int,
        *,
        channels: NFrames = 1,
        height: NFrames = 1,
        block: tuple[NFrames, NFrames] = (1, 8),
        hidden_dim: Dim = 32,
        last_frames: NFrames = 8,
    ):
        if level_dims[0] % (channels * height):
            raise SettingsError(
                f"channels = {channels}, height = {height}: expected their product to divide the "
                f"{level_dims[0]} features of the finest level; for pictures give 3 and their "
                "rows, and keep_input."
            )
        width = level_dims[0] // (channels * height)
        blocks = Blocks(level_frames[0], channels, height, width, *block)
        basis = nn.Linear(blocks.n_values, blocks.n_features(dim))
        super().__init__(basis, level_dims, level_frames, dim, hidden_dim, last_frames)
        self.blocks, self.dim = blocks, dim

    def start_from_blocks(
        self, analysis: Float[Tensor, "feature value"], offset: Float[Tensor, " feature"]
    ) -> list[nn.Parameter]:
        """Sets the map, a row for each number of a block, and what is added. Gives what it set."""
        return self._start_basis(analysis, offset)

    def forward(self, levels: Levels) -> Vector:
        blocks = self.blocks
        shape = (blocks.channels, blocks.height, blocks.width)
        codes = self.basis(blocks.split(levels[0].unflatten(2, shape)))
        return self._with_deeper(blocks.ordered(codes, self.dim), levels)
