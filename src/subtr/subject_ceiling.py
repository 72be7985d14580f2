"""The noise ceiling from subjects that come one after the other and are not kept."""

import numpy as np
from jaxtyping import Float, Float64

from subtr.errors import StudyError


class StreamedCeiling:
    """How much of the BOLD is shared, from running sums over subjects.

    The variance of z-scored BOLD is split into what volumes have in common over subjects and what
    is left, as by an analysis of variance with one factor. The reliability of the subjects' mean
    that follows is Cronbach's alpha, the mean of the reliabilities by all split halves; so this is
    what `subtr.metrics.split_half_ceiling` estimates, without a draw of halves and without a stack
    of subjects.

    Source: Hoyt 1941, Test reliability estimated by analysis of variance; Cronbach 1951,
    Coefficient alpha and the internal structure of tests.
    """

    def __init__(self):
        self._total = self._squares = 0.0
        self._count = np.zeros((1, 1))

    def add(self, bold: Float[np.ndarray, "tr parcel"]) -> None:
        """One more subject's z-scored BOLD; NaN is left out."""
        known = np.isfinite(bold)
        values = np.where(known, bold, 0.0)
        self._total = self._total + values
        self._squares = self._squares + np.square(values)
        self._count = self._count + known

    def group(self) -> Float64[np.ndarray, " parcel"]:
        """Highest r that a model of the shared signal can reach with the subjects' mean."""
        shared, own, n_subjects = self._variances()
        return np.sqrt(shared / np.maximum(shared + own / n_subjects, 1e-12))

    def single(self) -> Float64[np.ndarray, " parcel"]:
        """The same with one subject's BOLD, of which what is not shared counts as noise."""
        shared, own, _ = self._variances()
        return np.sqrt(shared / np.maximum(shared + own, 1e-12))

    def _variances(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Variance over time that is shared, variance that is not, and the mean of subjects.

        Raises
            StudyError: fewer than two subjects.
        """
        most = int(self._count.max())
        if most < 2:
            raise StudyError(f"{most} subject(s): a ceiling needs at least two.")
        count = np.where(self._count >= 2, self._count, np.nan)
        with np.errstate(invalid="ignore"):
            mean = self._total / count
            left = self._squares - count * np.square(mean)
            n_trs = np.isfinite(count).sum(axis=0).clip(1)
            free = np.nansum(count - 1, axis=0)
            # z-scores have no mean over time, which costs a subject one degree of freedom.
            n_subjects = n_trs / np.nansum(1 / count, axis=0).clip(1e-12)
            own = np.nansum(left, axis=0) / (free * (n_trs - 1) / n_trs).clip(1e-12)
            of_mean = np.nansum(np.square(mean), axis=0) / (n_trs - 1).clip(1)
        shared = np.maximum(of_mean - own / n_subjects, 0.0)
        measured = np.isfinite(count).any(axis=0)
        return tuple(np.where(measured, of, np.nan) for of in (shared, own, n_subjects))
