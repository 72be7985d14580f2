"""Linear reconstruction of windows: PCA, block PCA, moments and interpolation."""

from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Float32, Float64, Int, Shaped
from sklearn.decomposition import PCA
from torch import Tensor

from subtr.bold.hrf import hrf_kernel
from subtr.metrics.bold import known_mean
from subtr.params import SettingsError
from subtr.stimulus.pictures import Blocks


class WindowMoments(NamedTuple):
    """Of windows flattened frame by frame: how many there are, their mean and their covariance."""

    n_windows: int
    mean: Float32[Tensor, " flat"]
    covariance: Float32[Tensor, "flat flat"]


def window_moments(streams: list[Float[Tensor, "_ feature"]], n_frames: int) -> WindowMoments:
    """Moments of the windows that begin at every frame of every stream.

    Windows at neighbouring frames share all but two of their products, so that the sum over all of
    them takes but one product for each lag and a correction at the ends: exact, and a hundred times
    cheaper than the windows' own.

    Arguments
        streams: frames without a hole; those shorter than a window add nothing.
        n_frames: of a window.
    """
    n_features = streams[0].shape[1]
    sums = torch.zeros(n_frames, n_features, n_frames, n_features)
    mean = torch.zeros(n_frames, n_features, dtype=torch.float64)
    # Around the common mean, so that the difference of large numbers is never taken.
    center = torch.cat(streams).double().mean(dim=0)
    n_windows = 0
    for stream in streams:
        n_begins = len(stream) - n_frames + 1
        if n_begins < 1:
            continue
        n_windows += n_begins
        frames = stream.double() - center
        entering, leaving = frames[n_begins:], frames[: n_frames - 1]
        mean[0] += frames[:n_begins].sum(dim=0)
        mean[1:] += frames[:n_begins].sum(dim=0) + (entering - leaving).cumsum(dim=0)
        for lag in range(n_frames):
            first = frames[:n_begins].T @ frames[lag : lag + n_begins]
            n_steps = n_frames - lag - 1
            steps = torch.einsum("i a, i b -> i a b", entering[:n_steps], entering[lag:])
            steps -= torch.einsum("i a, i b -> i a b", leaving[:n_steps], leaving[lag:])
            blocks = torch.cat([first[None], first + steps.cumsum(dim=0)])
            for index, block in enumerate(blocks):
                sums[index, :, index + lag] += block.float()
    mean /= max(n_windows, 1)
    for index in range(n_frames):
        # What lies below the diagonal mirrors what lies above it.
        later = sums[index, :, index + 1 :]
        sums[index + 1 :, :, index] = later.permute(1, 2, 0)
    covariance = sums.reshape(n_frames * n_features, n_frames * n_features)
    covariance -= n_windows * torch.outer(mean.flatten(), mean.flatten()).float()
    covariance /= max(n_windows - 1, 1)
    return WindowMoments(n_windows, (mean + center).flatten().float(), covariance)


# The plain baselines of a learned reconstruction: mean, nearest frame, Lanczos and PCA.
#
# Windows are (n_trs, F, feature): the stimulus of consecutive TRs, F frames each.

# Values of a window up to which all components are found, not the wanted ones alone.
_EXACT_UP_TO = 2048


def mean_baseline(
    windows: Float[np.ndarray, "tr frame feature"],
) -> Float32[np.ndarray, "tr frame feature"]:
    """Each TR's mean, held for the whole TR: what the usual pipeline keeps.

    Costs ``feature`` floats a TR.
    """
    mean = windows.mean(axis=1, dtype=np.float64).astype(np.float32)
    return repeat(mean, "tr feature -> tr frame feature", frame=windows.shape[1]).copy()


def nearest_baseline(
    windows: Float[np.ndarray, "tr frame feature"],
) -> Float32[np.ndarray, "tr frame feature"]:
    """The frame in the middle of each TR, held for the whole TR. Costs ``feature`` floats a TR."""
    middle = windows[:, windows.shape[1] // 2].astype(np.float32)
    return repeat(middle, "tr feature -> tr frame feature", frame=windows.shape[1]).copy()


def _lanczos(x: np.ndarray, lobes: int) -> np.ndarray:
    return np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0.0)


def lanczos_baseline(
    windows: Float[np.ndarray, "tr frame feature"], lobes: int = 3
) -> Float32[np.ndarray, "tr frame feature"]:
    """Low-passed at the TR's Nyquist rate, sampled at mid-TR, interpolated back between TRs.

    Both steps use the Lanczos kernel of ``lobes`` lobes, as encoding tutorials do to bring features
    to the TR; weights are normalised so that a constant stays one. Costs ``feature`` floats a TR.
    Give consecutive TRs; at the ends only the TRs that exist are used.

    Source: Duchon 1979, Lanczos filtering in one and two dimensions.
    """
    n_trs, n_frames, _ = windows.shape
    frame_tr = (np.arange(n_frames) + 0.5) / n_frames - 0.5  # frames' distance from mid-TR, in TRs
    out = np.zeros(windows.shape)
    samples = np.zeros((n_trs, windows.shape[2]))
    down = np.zeros(n_trs)
    up = np.zeros((n_trs, n_frames))
    reach = range(-lobes, lobes + 1)
    values = windows.astype(np.float64)
    for step in reach:  # TR t hears TR t + step
        weight = _lanczos(step + frame_tr, lobes)
        here, there = _overlap(n_trs, step)
        samples[here] += np.einsum("tfm,f->tm", values[there], weight)
        down[here] += weight.sum()
    samples /= down[:, None]
    for step in reach:
        weight = _lanczos(frame_tr - step, lobes)
        here, there = _overlap(n_trs, step)
        out[here] += weight[None, :, None] * samples[there][:, None, :]
        up[here] += weight
    return (out / up[..., None]).astype(np.float32)


def _overlap(n: int, step: int) -> tuple[slice, slice]:
    """Slices of all t, and of t + step, for which both exist."""
    first, last = max(0, -step), max(min(n, n - step), max(0, -step))
    return slice(first, last), slice(first + step, last + step)


def sliding_windows(
    windows: Float[np.ndarray, "tr frame feature"], step: int = 1
) -> Float[np.ndarray, "window frame feature"]:
    """Windows one TR long that begin at every ``step``-th frame, for more to learn from.

    Give consecutive TRs; every original window is among those returned if ``step`` divides F.
    """
    n_frames = windows.shape[1]
    stream = rearrange(windows, "tr frame feature -> (tr frame) feature")
    view = np.lib.stride_tricks.sliding_window_view(stream, n_frames, axis=0)[::step]
    return np.ascontiguousarray(rearrange(view, "window feature frame -> window frame feature"))


class PCABaseline:
    """PCA of the flattened window: the best linear code of its training data at ``n_floats`` a TR.

    Arguments
        n_floats: numbers kept of each TR.
        seed: of the randomised solver for large windows.

    Fitted, it has ``components`` (float, flat), orthonormal windows by falling variance, their
    ``deviations`` over the training windows, and the ``mean`` window.
    """

    def __init__(self, n_floats: int, seed: int = 0):
        if n_floats < 1:
            raise SettingsError(f"n_floats = {n_floats!r}: expected at least 1.")
        self.n_floats = n_floats
        self.seed = seed

    def fit(self, windows: Float[np.ndarray, "window frame feature"]) -> "PCABaseline":
        """Learn from training windows, at TR borders or at all offsets (``sliding_windows``).

        Raises
            SettingsError: fewer windows, or smaller ones, than ``n_floats`` components need.
        """
        flat = windows.reshape(len(windows), -1).astype(np.float32)
        self._check_rank(*flat.shape)
        found = PCA(self.n_floats, random_state=self.seed).fit(flat)
        self._keep(found.components_, found.explained_variance_, found.mean_)
        return self

    def fit_moments(self, moments: WindowMoments) -> "PCABaseline":
        """Learn from the moments of training windows; errors as `fit`."""
        n_values = len(moments.mean)
        self._check_rank(moments.n_windows, n_values)
        if n_values <= _EXACT_UP_TO:
            variances, components = torch.linalg.eigh(moments.covariance.double())
            variances, components = variances.flip(0), components.flip(1)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                q = min(self.n_floats + 32, n_values)
                components, variances, _ = torch.svd_lowrank(moments.covariance, q, niter=3)
        kept = slice(self.n_floats)
        variances = variances[kept].clamp_min(0)
        self._keep(components[:, kept].T.numpy(), variances.numpy(), moments.mean.numpy())
        return self

    def _check_rank(self, n_windows: int, n_values: int) -> None:
        rank = min(n_windows - 1, n_values)
        if self.n_floats > rank:
            raise SettingsError(
                f"n_floats = {self.n_floats}: {n_windows} training windows of {n_values} "
                f"values hold at most {rank} components. Use fewer floats, more training data, or "
                "windows at more offsets (sliding_windows)."
            )

    def _keep(self, components: np.ndarray, variances: np.ndarray, mean: np.ndarray) -> None:
        # Orthonormal windows by falling variance (float, flat), their deviations, the mean window.
        self.components = np.ascontiguousarray(components, dtype=np.float32)
        self.deviations = np.sqrt(variances).astype(np.float32)
        self.mean = mean.astype(np.float32)

    def encode(
        self, windows: Float[np.ndarray, "tr frame feature"]
    ) -> Float32[np.ndarray, "tr float"]:
        """The ``n_floats`` numbers of each TR."""
        flat = windows.reshape(len(windows), -1).astype(np.float32)
        return (flat - self.mean) @ self.components.T

    def reconstruct(
        self, windows: Float[np.ndarray, "tr frame feature"]
    ) -> Float32[np.ndarray, "tr frame feature"]:
        """The windows as the kept components give them back."""
        flat = self.encode(windows) @ self.components + self.mean
        return flat.reshape(windows.shape)


# The brightness that motion is seen in (ITU-R BT.601), as shares of red, green and blue.
_BRIGHTNESS = (0.299, 0.587, 0.114)

_MOST_BLOCKS = 20_000

_MOST_BYTES = 400_000_000


class BlockPCABaseline:
    """PCA of blocks at any place: numbers of each block, the same components for all.

    Arguments
        blocks: how pictures divide.
        n_floats: numbers kept of each TR, see `Blocks.ordered`.
        deviation_weight, grey_weight: what errors weigh, against 1, of what differs from the TR's
            mean picture, and of what changes brightness. Motion is seen in both.
        seed: of the choice of blocks to learn from.

    Fitted, it has of a block: ``analysis`` (feature, value) and ``offset`` (feature), which make
    numbers of variance 1; ``synthesis`` (value, feature) and ``mean`` (value), which make pixels.
    """

    def __init__(
        self,
        blocks: Blocks,
        n_floats: int,
        deviation_weight: float | int = 3.0,
        grey_weight: float | int = 3.0,
        seed: int = 0,
    ):
        self.blocks, self.n_floats, self.seed = blocks, n_floats, seed
        self.deviation_weight, self.grey_weight = deviation_weight, grey_weight

    def fit(
        self,
        frames: Float[Tensor, "tr picture rgb height width"],
        stretches: list[Int[np.ndarray, " _"]],
    ) -> "BlockPCABaseline":
        """Learns from blocks that begin at any picture, row and column of the stretches.

        Raises
            SettingsError: a block holds fewer components.
        """
        found = self._weighed(self._chosen(frames, stretches)).flatten(1)
        mean = found.mean(0)
        found -= mean
        moments = WindowMoments(len(found), mean, found.T @ found / max(len(found) - 1, 1))
        n_features = self.blocks.n_features(self.n_floats)
        pca = PCABaseline(n_features, self.seed).fit_moments(moments)
        components = torch.from_numpy(pca.components)
        spread = torch.from_numpy(pca.deviations).clamp_min(1e-6)
        # The weights are symmetric: what they do to components they do to pixels.
        shape = (self.blocks.n_frames, 3, self.blocks.block_height, self.blocks.block_width)
        self.analysis = self._weighed(components.unflatten(1, shape)).flatten(1) / spread[:, None]
        self.offset = -(components @ mean) / spread
        unweighed = self._weighed(components.unflatten(1, shape), -1).flatten(1)
        self.synthesis = unweighed.T * spread
        self.mean = self._weighed(mean.unflatten(0, shape)[None], -1).flatten()
        return self

    def encode(
        self, frames: Float[Tensor, "tr picture rgb height width"]
    ) -> Float[Tensor, "tr float"]:
        """The ``n_floats`` numbers of each TR."""
        codes = self.blocks.split(frames) @ self.analysis.T + self.offset
        return self.blocks.ordered(codes, self.n_floats)

    def reconstruct(
        self, frames: Float[Tensor, "tr picture rgb height width"]
    ) -> Float[Tensor, "tr picture rgb height width"]:
        """The pictures as the kept numbers give them back."""
        codes = self.blocks.placed(self.encode(frames))
        return self.blocks.join(codes @ self.synthesis.T + self.mean)

    def _chosen(self, frames: Tensor, stretches: list[np.ndarray]) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        blocks = self.blocks
        n_wanted = min(_MOST_BLOCKS, _MOST_BYTES // (4 * blocks.n_values))
        n_trs = sum(map(len, stretches))
        parts = []
        for trs in stretches:
            stream = blocks.filled(frames[torch.as_tensor(trs)]).flatten(0, 1)
            every = stream.unfold(0, blocks.n_frames, 1)
            every = every.unfold(2, blocks.block_height, 1).unfold(3, blocks.block_width, 1)
            size = (-(-n_wanted * len(trs) // n_trs),)
            picture, row, column = (
                torch.randint(every.shape[axis], size, generator=generator) for axis in (0, 2, 3)
            )
            parts.append(every[picture, :, row, column])
        return rearrange(torch.cat(parts), "n c f h w -> n f c h w")

    def _weighed(self, blocks: Tensor, power: int = 1) -> Tensor:
        """Blocks (n, frame, rgb, height, width) with their errors weighed; -1 undoes it."""
        mean = blocks.mean(1, keepdim=True)
        blocks = mean + self.deviation_weight**power * (blocks - mean)
        axis = torch.tensor(_BRIGHTNESS)
        axis = (axis / axis.norm())[:, None, None]
        grey = (blocks * axis).sum(2, keepdim=True) * axis
        return blocks + (self.grey_weight**power - 1) * grey


def canonical_features(
    features: Shaped[np.ndarray, "tr feature"],
    train: Int[np.ndarray, " _"],
    tr_s: float | int,
    run_of_tr: Int[np.ndarray, " tr"] | None = None,
) -> Float64[np.ndarray, "tr feature"]:
    """Features convolved with the SPM response, run by run.

    A response known beforehand leaves one weight a feature, where minutes of BOLD cannot tell one
    for each lag. What is unknown, such as the stimulus before a run, is taken for the mean of the
    training TRs.

    Arguments
        train: TRs whose means are taken.
    """
    runs = np.zeros(len(features), int) if run_of_tr is None else run_of_tr
    # A feature that no training TR has is NaN, then 0.
    deviation = np.nan_to_num(features - known_mean(features[train], axis=0))
    kernel = hrf_kernel(tr_s)
    out = np.empty(deviation.shape)
    for run in np.unique(runs):
        (trs,) = np.nonzero(runs == run)
        for feature in range(deviation.shape[1]):
            out[trs, feature] = np.convolve(deviation[trs, feature], kernel)[: len(trs)]
    return out


def mean_mel(log_mel: Float[np.ndarray, "tr frame mel"]) -> Float64[np.ndarray, "tr mel"]:
    """The log-mel averaged over each TR: (n_trs, n_mels), natural log of amplitude."""
    return log_mel.mean(axis=1, dtype=np.float64)


def sound_power(log_mel: Float[np.ndarray, "tr frame mel"]) -> Float64[np.ndarray, "tr 1"]:
    """Root mean square over each TR of the mel amplitudes: (n_trs, 1), linear."""
    power = np.exp(2 * log_mel.astype(np.float64)).sum(axis=2)
    return np.sqrt(power.mean(axis=1, keepdims=True))


def onset_flux(log_mel: Float[np.ndarray, "tr frame mel"]) -> Float64[np.ndarray, "tr 1"]:
    """How much sound begins in each TR: (n_trs, 1), a hand-made sub-TR feature.

    Rises of the cube root of mel amplitude from one frame to the next (falls count 0), averaged
    over mel bands, summed over the frames of the TR. Frames run on across TR borders; the first
    frame of all has nothing before it and counts 0.

    Source: spectral flux, Bello et al. 2005, A tutorial on onset detection in music signals.
    """
    n_trs, n_frames, n_mels = log_mel.shape
    # Compressed rather than logarithmic: the logarithm would make onsets of whispers in silence.
    loudness = np.exp(log_mel.astype(np.float64) / 3).reshape(n_trs * n_frames, n_mels)
    rise = np.maximum(np.diff(loudness, axis=0, prepend=loudness[:1]), 0.0).mean(axis=1)
    return rise.reshape(n_trs, n_frames).sum(axis=1, keepdims=True)


# Values of a window up to which its covariance is kept whole: 8 192 of log-mel take 270 MB.
_COVARIANCE_UP_TO = 12_000

_MOST_WINDOW_BYTES = 400_000_000


def fit_pca(
    frames: Float[Tensor, "tr frame *feature"],
    stretches: list[Int[np.ndarray, " _"]],
    n_floats: int,
    seed: int = 0,
) -> PCABaseline:
    """Principal components of the windows that begin at every frame of the stretches.

    Components of windows at TR borders alone are far worse: 0.81 instead of 0.89 of within-TR
    structure at 128 floats, on four minutes of speech. Windows too large for a covariance, as those
    of pictures, are taken at fewer frames where that takes more than 400 MB.

    Raises
        SettingsError: the windows hold fewer components.
    """
    frames = frames.flatten(2)
    baseline = PCABaseline(n_floats, seed)
    if frames[0].numel() <= _COVARIANCE_UP_TO:
        streams = [frames[torch.as_tensor(trs)].flatten(0, 1) for trs in stretches]
        return baseline.fit_moments(window_moments(streams, frames.shape[1]))
    return baseline.fit(windows_of(frames, stretches))


def windows_of(
    frames: Float[Tensor, "tr frame feature"], stretches: list[Int[np.ndarray, " _"]]
) -> Float[np.ndarray, "window frame feature"]:
    """The windows that begin at every frame of the stretches; at fewer where that takes 400 MB."""
    most = _MOST_WINDOW_BYTES // (frames[0].numel() * frames.element_size())
    step = max(1, -(-sum(map(len, stretches)) * frames.shape[1] // most))
    parts = [sliding_windows(frames[torch.as_tensor(trs)].numpy(), step) for trs in stretches]
    return np.concatenate(parts)


def holds_components(
    frames: Shaped[np.ndarray, "tr frame *feature"],
    stretches: list[Int[np.ndarray, " _"]],
    n_floats: int,
) -> bool:
    """Whether the windows of the stretches can tell so many components apart."""
    n_frames = frames.shape[1]
    n_windows = sum((len(trs) - 1) * n_frames + 1 for trs in stretches)
    if frames[0].size > _COVARIANCE_UP_TO:
        n_windows = min(n_windows, _MOST_WINDOW_BYTES // (4 * frames[0].size))
    return n_floats < min(n_windows, frames[0].size)
