"""Slow drift and head motion out of BOLD, and z-scores; all of it fitted on training volumes."""

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from subtr.metrics.bold import parcels_alike
from subtr.params import SettingsError, StudyError


class Cleaner:
    """Regresses drift and confounds out of BOLD, then brings parcels to mean 0, variance 1.

    Weights, means and deviations come from the volumes given to ``fit`` alone. Drift is a
    polynomial in time, which reaches over held-out volumes by extrapolation, not by their values;
    so keep its order low.

    Arguments
        tr_s: repetition time in seconds.
        drift_order: order of the Legendre polynomials; 0 removes the mean alone.
        confounds: (TR, confound) such as six motion parameters, or None.
    """

    def __init__(
        self,
        tr_s: float,
        drift_order: int = 2,
        confounds: Float[np.ndarray, "tr confound"] | None = None,
    ):
        if not 0 <= drift_order <= 10:
            raise SettingsError(f"drift_order = {drift_order!r}: expected 0 to 10.")
        self.tr_s, self.drift_order, self.confounds = tr_s, drift_order, confounds

    def fit(
        self, bold: Float[np.ndarray, "tr parcel"], train: Int64[np.ndarray, " train"]
    ) -> "Cleaner":
        """Learns from ``bold[train]``; missing values are left out, parcel by parcel.

        Raises
            StudyError: confounds of another length than the BOLD.
        """
        design = self._design(len(bold))
        self._center = design[train].mean(axis=0)
        self._scale = design[train].std(axis=0)
        self._scale[self._scale < 1e-12] = 1.0
        design = self._scaled(design)[train]
        n_parcels = bold.shape[1]
        self.weights = np.full((design.shape[1], n_parcels), np.nan)
        self.deviation = np.full(n_parcels, np.nan)
        known = np.isfinite(bold[train])
        for parcels in parcels_alike(known):
            here = known[:, parcels[0]]
            if here.sum() > design.shape[1]:
                values = bold[np.ix_(train[here], parcels)].astype(np.float64)
                weights = np.linalg.lstsq(design[here], values, rcond=None)[0]
                self.weights[:, parcels] = weights
                deviation = (values - design[here] @ weights).std(axis=0)
                self.deviation[parcels] = np.where(deviation > 0, deviation, np.nan)
        return self

    def transform(self, bold: Float[np.ndarray, "tr parcel"]) -> Float64[np.ndarray, "tr parcel"]:
        """All volumes, cleaned and scaled by what was learned; NaN stays NaN."""
        return (bold - self._scaled(self._design(len(bold))) @ self.weights) / self.deviation

    @property
    def usable(self) -> Bool[np.ndarray, " parcel"]:
        """Which parcels vary in the training volumes."""
        return np.isfinite(self.deviation)

    def _design(self, n_trs: int) -> np.ndarray:
        drift = np.polynomial.legendre.legvander(np.linspace(-1, 1, n_trs), self.drift_order)
        if self.confounds is None:
            return drift
        if len(self.confounds) != n_trs:
            raise StudyError(
                f"confounds have {len(self.confounds)} TRs ({len(self.confounds) * self.tr_s:g} "
                f"s), BOLD {n_trs} ({n_trs * self.tr_s:g} s): give one row per volume."
            )
        return np.concatenate([drift, self.confounds], axis=1)

    def _scaled(self, design: np.ndarray) -> np.ndarray:
        scaled = (design - self._center) / self._scale
        scaled[:, 0] = 1.0
        return scaled
