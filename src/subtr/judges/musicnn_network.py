"""The network of musicnn, as its authors trained it, in PyTorch."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float, Float32
from torch import Tensor

from subtr.judges.tensorflow_checkpoint import read_checkpoint

N_FRAMES = 187
N_MELS = 96
_EPSILON = 1e-3


class MusicNetwork:
    """Tags of 3 s of music: convolutions over timbre and over time, then pooling over all of it.

    Arguments
        folder: holds a checkpoint of musicnn, `.index` and `.data-00000-of-00001`.

    Raises
        SettingsError: no such checkpoint.

    Source: Pons and Serra 2019, musicnn: pre-trained convolutional neural networks for music audio
    tagging; layers as in their models.py, `build_musicnn`.
    """

    def __init__(self, folder: Path):
        read = read_checkpoint(folder / ".index", folder / ".data-00000-of-00001")
        self.weights = {name: torch.tensor(value) for name, value in read.items()}

    @torch.no_grad()
    def __call__(
        self, log_mel: Float32[np.ndarray, "patch 187 96"]
    ) -> Float32[np.ndarray, "patch tag"]:
        """Probability of each tag in each patch of 187 frames (hop 16 ms) and 96 mel bands."""
        heard = self._normed(torch.from_numpy(log_mel)[:, None], 0)
        front = torch.cat([self._front(heard, layer) for layer in range(5)], dim=1)
        middle = [front, self._middle(front, 5)]
        for layer in (6, 7):
            middle.append(middle[-1] + self._middle(middle[-1], layer))
        levels = torch.cat(middle, dim=1)
        pooled = torch.stack([reduce(levels, "b c t -> b c", how) for how in ("max", "mean")], -1)
        flat = self._normed(rearrange(pooled, "b c pool -> b (c pool)"), 9)
        hidden = self._normed(F.relu(self._dense(flat, 0)), 10)
        return torch.sigmoid(self._dense(hidden, 1)).numpy()

    def _front(
        self, heard: Float[Tensor, "patch 1 frame mel"], layer: int
    ) -> Float[Tensor, "patch channel frame"]:
        """A filter along time, and for the first two along frequency; the loudest band counts."""
        kernel = rearrange(self._of("conv2d", layer, "kernel"), "t f i o -> o i t f")
        n_frames = kernel.shape[2]
        # As TensorFlow pads: an even kernel has one frame more after it than before.
        before = (n_frames - 1) // 2
        padded = F.pad(heard, (0, 0, before, n_frames - 1 - before))
        found = F.relu(F.conv2d(padded, kernel, self._of("conv2d", layer, "bias")))
        return reduce(self._normed(found, layer + 1), "b c t f -> b c t", "max")

    def _middle(
        self, below: Float[Tensor, "patch channel frame"], layer: int
    ) -> Float[Tensor, "patch 64 frame"]:
        kernel = rearrange(self._of("conv2d", layer, "kernel"), "t i 1 o -> o i t")
        found = F.conv1d(below, kernel, self._of("conv2d", layer, "bias"), padding="same")
        return self._normed(F.relu(found), layer + 1)

    def _dense(self, below: Float[Tensor, "patch channel"], layer: int) -> Tensor:
        return below @ self._of("dense", layer, "kernel") + self._of("dense", layer, "bias")

    def _normed(self, values: Tensor, layer: int) -> Tensor:
        named = [
            self._of("batch_normalization", layer, part)
            for part in ("moving_mean", "moving_variance", "gamma", "beta")
        ]
        return F.batch_norm(values, *named, eps=_EPSILON)

    def _of(self, kind: str, layer: int, part: str) -> Tensor:
        return self.weights[f"{kind}_{layer}/{part}" if layer else f"{kind}/{part}"]
