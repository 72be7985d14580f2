"""Mean and covariance of all windows one TR long, without ever making the windows."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float32
from torch import Tensor


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
