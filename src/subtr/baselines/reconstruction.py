"""The plain rivals of a learned reconstruction: mean, nearest frame, Lanczos and PCA.

Windows are (n_trs, F, feature): the stimulus of consecutive TRs, F frames each.
"""

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Float32
from sklearn.decomposition import PCA

from subtr.baselines.window_moments import WindowMoments
from subtr.params import SettingsError

# Values of a window up to which all components are found, not the wanted ones alone.
_EXACT_UP_TO = 2048


def mean_rival(
    windows: Float[np.ndarray, "tr frame feature"],
) -> Float32[np.ndarray, "tr frame feature"]:
    """Each TR's mean, held for the whole TR: what the usual pipeline keeps.

    Costs ``feature`` floats a TR.
    """
    mean = windows.mean(axis=1, dtype=np.float64).astype(np.float32)
    return repeat(mean, "tr feature -> tr frame feature", frame=windows.shape[1]).copy()


def nearest_rival(
    windows: Float[np.ndarray, "tr frame feature"],
) -> Float32[np.ndarray, "tr frame feature"]:
    """The frame in the middle of each TR, held for the whole TR. Costs ``feature`` floats a TR."""
    middle = windows[:, windows.shape[1] // 2].astype(np.float32)
    return repeat(middle, "tr feature -> tr frame feature", frame=windows.shape[1]).copy()


def _lanczos(x: np.ndarray, lobes: int) -> np.ndarray:
    return np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0.0)


def lanczos_rival(
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


class PCARival:
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

    def fit(self, windows: Float[np.ndarray, "window frame feature"]) -> "PCARival":
        """Learn from training windows, at TR borders or at all offsets (``sliding_windows``).

        Raises
            SettingsError: fewer windows, or smaller ones, than ``n_floats`` components need.
        """
        flat = windows.reshape(len(windows), -1).astype(np.float32)
        self._check_rank(*flat.shape)
        found = PCA(self.n_floats, random_state=self.seed).fit(flat)
        self._keep(found.components_, found.explained_variance_, found.mean_)
        return self

    def fit_moments(self, moments: WindowMoments) -> "PCARival":
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
