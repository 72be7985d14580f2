"""Functional alignment: parcels of one brain as mixtures of another's that answer alike."""

import importlib.util
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy.linalg import orthogonal_procrustes

from subtr.params import SettingsError, StudyError

AlignmentMethod = Literal["procrustes", "ridge", "optimal transport"]


class FunctionalAlignment:
    """Maps BOLD of one brain, or of a group's mean, to the parcels of another by how they answer.

    The map is learned from volumes in which both met the same stimulus, and used on others.
    Volumes that lack a value of either are left out; parcels that are masked in either stay NaN.

    Arguments
        method: "procrustes", a rotation and one gain (`scipy.linalg.orthogonal_procrustes`);
            "ridge", a linear map with a penalty chosen by cross-validation; "optimal transport",
            a soft matching of parcels. The last two are fmralign's.

    Raises
        SettingsError: the method needs fmralign, which is not installed.

    Source: Haxby et al. 2011, A common, high-dimensional model of the representational space in
    human ventral temporal cortex; Bazeille et al. 2021, An empirical evaluation of functional
    alignment using inter-subject decoding.
    """

    def __init__(self, method: AlignmentMethod = "procrustes"):
        if method != "procrustes" and importlib.util.find_spec("fmralign") is None:
            raise SettingsError(
                f"alignment = {method!r} needs fmralign: pip install 'subtr[align]'; or use "
                "procrustes."
            )
        self.method = method

    def fit(
        self,
        source: Float[np.ndarray, "tr parcel"],
        target: Float[np.ndarray, "tr parcel"],
        train: Int64[np.ndarray, " train"],
    ) -> "FunctionalAlignment":
        """Learns from ``train`` alone.

        Raises
            StudyError: too few volumes in common; a rotation needs more of them than parcels.
        """
        known = np.isfinite(source[train]) & np.isfinite(target[train])
        self.parcels = np.flatnonzero(known.any(axis=0))
        trs = train[known[:, self.parcels].all(axis=1)]
        least = len(self.parcels) + 1 if self.method == "procrustes" else 10
        if len(trs) < max(least, 10) or not len(self.parcels):
            raise StudyError(
                f"{len(trs)} volumes that both subjects have cannot align {len(self.parcels)} "
                f"parcels by {self.method}: expected {max(least, 10)} or more. Train on more, or "
                "average parcels to regions."
            )
        x, y = (of[np.ix_(trs, self.parcels)].astype(np.float64) for of in (source, target))
        self._center, self._mean = x.mean(axis=0), y.mean(axis=0)
        self._map = _fitted(self.method, x - self._center, y - self._mean)
        return self

    def transform(self, source: Float[np.ndarray, "tr parcel"]) -> Float64[np.ndarray, "tr parcel"]:
        """What the target's parcels would show where the source's show this; NaN stays NaN."""
        out = np.full(source.shape, np.nan)
        given = source[:, self.parcels].astype(np.float64)
        known = np.isfinite(given).all(axis=1)
        if known.any():
            mapped = self._map.transform(given[known] - self._center)
            out[np.ix_(known, self.parcels)] = mapped + self._mean
        return out


class _Rotation:
    """A rotation and one gain."""

    def __init__(self, x: np.ndarray, y: np.ndarray):
        rotation, total = orthogonal_procrustes(x, y)
        self.weights = rotation * (total / np.sum(x * x))

    def transform(self, x: np.ndarray) -> np.ndarray:
        return x @ self.weights


def _fitted(method: str, x: np.ndarray, y: np.ndarray) -> Any:
    if method == "procrustes":
        return _Rotation(x, y)
    from fmralign.methods import OptimalTransport, RidgeAlignment

    chosen = RidgeAlignment() if method == "ridge" else OptimalTransport()
    return chosen.fit(x, y)
