"""Stimulus to TR vectors and back, whatever made them: what decoding from BOLD goes through."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float64, Int, Shaped

from subtr.autoencoder import Autoencoder
from subtr.datasets.study import Study
from subtr.items import window_batches
from subtr.timeline import Split, consecutive
from subtr.training_windows import fit_pca


@dataclass(frozen=True)
class StimulusCode:
    """One vector a TR, and what a decoder draws of it.

    Arguments
        modality: "sound" or "pictures".
        vectors: of all TRs of the study, by the encoder.
        original: the stimulus of all TRs: log-mel, or pictures from 0 to 255.
        mean: the mean frame of the training TRs, which the mean stimulus holds.
        decode: vectors of consecutive TRs -> their stimulus, in the units of the original.
    """

    modality: str
    vectors: Float64[np.ndarray, "tr dim"]
    original: Shaped[np.ndarray, "tr frame *feature"]
    mean: Float64[np.ndarray, "*feature"]
    decode: Callable[[Float[np.ndarray, "_ dim"]], Float[np.ndarray, "_ frame *feature"]]

    def decoded(
        self, vectors: Float[np.ndarray, "tr dim"], trs: Int[np.ndarray, " tr"], study: Study
    ) -> Shaped[np.ndarray, "tr frame *feature"]:
        """The stimulus of ``trs`` from their vectors, of the original's type."""
        parts, done = [], 0
        for stretch in consecutive(trs, study.run_of_tr):
            parts.append(self.decode(vectors[done : done + len(stretch)]))
            done += len(stretch)
        return _as(np.concatenate(parts), self.original.dtype)

    def mean_stimulus(self, n_trs: int) -> Shaped[np.ndarray, "tr frame *feature"]:
        """The mean frame held throughout: what decoding must be better than."""
        shape = (n_trs, *self.original.shape[1:])
        return _as(np.broadcast_to(self.mean, shape), self.original.dtype)


def autoencoder_code(trained: Autoencoder, study: Study, split: Split) -> StimulusCode:
    """The code of a trained autoencoder of sound or of pictures, fitted on the split's train."""
    sound = trained.frames.ndim == 3
    vectors = np.full((study.clock.n_trs, trained.n_floats), np.nan)
    everything = consecutive(np.arange(study.clock.n_trs), study.run_of_tr)
    done = 0
    with torch.no_grad():
        for batch in window_batches(trained.frames, everything):
            found = trained.model.stream(batch["frames"], study.clock.tr_s)[0]
            vectors[done : done + len(found)] = found.double().numpy()
            done += len(found)

    @torch.no_grad()
    def decode(some: np.ndarray) -> np.ndarray:
        drawn = trained.model.decoder(torch.from_numpy(some.astype(np.float32))[None])[0]
        drawn = (drawn * trained.scale + trained.center).numpy()
        return drawn if sound else rearrange(drawn, "t p c h w -> t p h w c") * 255

    return StimulusCode(*_stimulus(study, sound, split, vectors), decode)


def components_code(
    study: Study, split: Split, n_floats: int, modality: str = "sound", seed: int = 0
) -> StimulusCode:
    """Principal components of the training windows: the linear code of as many numbers a TR."""
    sound = modality == "sound"
    windows = np.asarray(study.mel if sound else study.pictures)
    flat = windows.reshape(*windows.shape[:2], -1).astype(np.float32)
    stretches = consecutive(split.train, study.run_of_tr)
    pca = fit_pca(torch.from_numpy(flat), stretches, n_floats, seed)
    vectors = pca.encode(flat).astype(np.float64)

    def decode(some: np.ndarray) -> np.ndarray:
        drawn = some @ pca.components + pca.mean
        return drawn.reshape(len(some), *windows.shape[1:])

    return StimulusCode(*_stimulus(study, sound, split, vectors), decode)


def _stimulus(study: Study, sound: bool, split: Split, vectors: np.ndarray) -> tuple:
    original = np.asarray(study.mel if sound else study.pictures)
    mean = original[split.train].mean(axis=(0, 1), dtype=np.float64)
    return "sound" if sound else "pictures", vectors, original, mean


def _as(drawn: np.ndarray, dtype) -> np.ndarray:
    if dtype == np.uint8:
        drawn = np.rint(np.clip(drawn, 0, 255))
    return drawn.astype(dtype)
