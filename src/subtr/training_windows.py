"""What components are learned from: windows one TR long at every frame of the training time."""

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from subtr.baselines.reconstruction import PCARival, sliding_windows
from subtr.baselines.window_moments import window_moments

# Values of a window up to which its covariance is kept whole: 8 192 of log-mel take 270 MB.
_COVARIANCE_UP_TO = 12_000
_MOST_BYTES = 400_000_000


def fit_pca(
    frames: Float[Tensor, "tr frame *feature"],
    stretches: list[Int[np.ndarray, " _"]],
    n_floats: int,
    seed: int = 0,
) -> PCARival:
    """Principal components of the windows that begin at every frame of the stretches.

    Components of windows at TR borders alone are far worse: 0.81 instead of 0.89 of within-TR
    structure at 128 floats, on four minutes of speech. Windows too large for a covariance, as those
    of pictures, are taken at fewer frames where that takes more than 400 MB.

    Raises
        SettingsError: the windows hold fewer components.
    """
    frames = frames.flatten(2)
    rival = PCARival(n_floats, seed)
    if frames[0].numel() <= _COVARIANCE_UP_TO:
        streams = [frames[torch.as_tensor(trs)].flatten(0, 1) for trs in stretches]
        return rival.fit_moments(window_moments(streams, frames.shape[1]))
    return rival.fit(windows_of(frames, stretches))


def windows_of(
    frames: Float[Tensor, "tr frame feature"], stretches: list[Int[np.ndarray, " _"]]
) -> Float[np.ndarray, "window frame feature"]:
    """The windows that begin at every frame of the stretches; at fewer where that takes 400 MB."""
    most = _MOST_BYTES // (frames[0].numel() * frames.element_size())
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
        n_windows = min(n_windows, _MOST_BYTES // (4 * frames[0].size))
    return n_floats < min(n_windows, frames[0].size)
