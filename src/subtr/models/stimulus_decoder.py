"""From BOLD back to the vectors of the stimulus."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float64, Int, Shaped

from subtr.datasets.study import Study
from subtr.models.autoencoder import Autoencoder
from subtr.models.batches import window_batches
from subtr.models.linear import fit_pca
from subtr.models.ridge import DEFAULT_ALPHAS, FirRidge
from subtr.params import SettingsError
from subtr.timeline import Split, consecutive

# The response to a TR has begun after 2 s, and its peak is over after 8 s.
WINDOW_S = (2.0, 8.0)


class BoldDecoder:
    """Ridge regression from the volumes that follow a TR to the vector of that TR.

    It is `FirRidge` backwards in time: the features of a TR are all parcels of the volumes
    ``window_s`` after it, within its run. The penalty of each number of the vector is chosen by
    blocks within the training TRs.

    Arguments
        tr_s: repetition time in seconds.
        window_s: first and last second after the TR of which volumes are used; both are rounded to
            whole TRs.
        alphas: penalties to choose from.
        gap_s: seconds left out around inner held-out blocks.

    Raises
        SettingsError: a window that begins before the TR, or ends before it begins.

    Source: Naselaris et al. 2011, Encoding and decoding in fMRI.
    """

    def __init__(
        self,
        tr_s: float | int,
        window_s: tuple[float | int, float | int] = WINDOW_S,
        alphas: Sequence[float | int] = DEFAULT_ALPHAS,
        gap_s: float | int = 16.0,
    ):
        first_s, last_s = window_s
        if not 0 <= first_s <= last_s:
            raise SettingsError(
                f"window_s = {tuple(window_s)}: expected seconds after the TR, first to last; BOLD "
                "answers later, so nothing before the TR is of use."
            )
        self.first_tr = round(first_s / tr_s)
        self.last_tr = max(self.first_tr, math.floor(last_s / tr_s + 1e-9))
        reach_s = (self.last_tr - self.first_tr) * tr_s
        self._ridge = FirRidge(tr_s, reach_s, alphas, gap_s=gap_s, device="cpu")

    def fit(
        self,
        bold: Float[np.ndarray, "tr parcel"],
        vectors: Float[np.ndarray, "tr dim"],
        train: Int[np.ndarray, " _"],
        run_of_tr: Int[np.ndarray, " tr"],
    ) -> "BoldDecoder":
        """Learns from the TRs ``train``, of whose volumes those in the window are used."""
        n = len(bold)
        volumes = self._later(bold, run_of_tr)[::-1]
        self._ridge.fit(volumes, vectors[::-1], n - 1 - train, run_of_tr[::-1])
        return self

    def predict(
        self,
        bold: Float[np.ndarray, "tr parcel"],
        trs: Int[np.ndarray, " _"],
        run_of_tr: Int[np.ndarray, " tr"],
    ) -> Float64[np.ndarray, "_ dim"]:
        """Vectors of ``trs``; what BOLD lacks (NaN) counts as its training mean."""
        volumes = self._later(bold, run_of_tr)[::-1]
        return self._ridge.predict(volumes, len(bold) - 1 - trs, run_of_tr[::-1])

    def _later(self, bold: np.ndarray, run_of_tr: np.ndarray) -> np.ndarray:
        """The first volume of each TR's window; NaN after the end of a run."""
        later, lag = np.full(bold.shape, np.nan), self.first_tr
        same = run_of_tr[lag:] == run_of_tr[: len(bold) - lag]
        later[: len(bold) - lag][same] = bold[lag:][same]
        return later


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
