"""Ridge from the volumes that follow a TR to the vector of that TR."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int

from subtr.baselines.ridge import DEFAULT_ALPHAS, FirRidge
from subtr.params import SettingsError

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
