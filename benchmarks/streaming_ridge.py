"""Ridge regression of any number of subjects on the same features, which are decomposed once."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

from subtr.metrics.bold import known_deviation, known_mean, parcels_alike
from subtr.models.ridge import DEFAULT_ALPHAS, nested_blocks
from subtr.params import StudyError

LEAST_TRS = 10


class _Decomposed(NamedTuple):
    """Centred features of some TRs: singular values, directions, and coordinates in them."""

    trs: np.ndarray
    mean: np.ndarray
    coordinates: np.ndarray
    singular: np.ndarray
    directions: np.ndarray


class _Fold(NamedTuple):
    """What an inner fold is fitted on, and the held-out features in its directions."""

    fitted: _Decomposed
    held: np.ndarray
    features: np.ndarray
    gram: np.ndarray


class StreamingRidge:
    """One penalty a parcel, chosen by blocks of time within the training TRs, with gaps.

    All that is costly is done once for the features: a subject then takes a few products with BOLD
    that is read, used and let go, so that neither memory nor the cost of a subject grows with
    their number. Volumes that are NaN are left out; what misses other volumes is decomposed anew.
    The result is that of a plain ridge regression with an intercept.

    Arguments
        features: of all TRs; NaN (a lag before the start of a run) counts as the mean.
        train: TRs to learn from; means and deviations of the features are theirs.
        tr_s: repetition time in seconds.
        alphas: penalties to choose from, for features of deviation 1.
        n_inner_folds: blocks of the inner validation.
        gap_s: seconds left out on either side of an inner held-out block.

    Source: Hoerl and Kennard 1970, by the singular value decomposition (Hastie, Tibshirani and
    Friedman 2009, equation 3.47).
    """

    def __init__(
        self,
        features: Float[np.ndarray, "tr feature"],
        train: Int64[np.ndarray, " train"],
        tr_s: float | int,
        alphas: Sequence[float | int] = DEFAULT_ALPHAS,
        n_inner_folds: int = 4,
        gap_s: float | int = 16.0,
    ):
        # A lag that no training TR has is NaN, then 0.
        mean = np.nan_to_num(known_mean(features[train], axis=0))
        spread = np.nan_to_num(known_deviation(features[train], axis=0))
        spread[spread < 1e-12] = np.inf  # a constant feature says nothing
        self.features = np.nan_to_num((features - mean) / spread)
        self.train, self.alphas = np.sort(train), np.asarray(alphas, dtype=np.float64)
        self.n_inner_folds = n_inner_folds
        self.gap_trs = math.ceil(gap_s / tr_s - 1e-9)
        self._kept: dict[bytes, tuple[_Decomposed, list[_Fold]]] = {}
        # Most subjects miss nothing, so this one is worth keeping.
        self._everything = np.ones(len(self.train), dtype=bool)
        self._kept[self._everything.tobytes()] = self._decomposed(self._everything)

    def predict(
        self, bold: Float[np.ndarray, "tr parcel"], trs: Int[np.ndarray, " n"]
    ) -> Float64[np.ndarray, "n parcel"]:
        """BOLD of the TRs ``trs`` as learned from ``bold[train]``, in its unit.

        NaN for parcels with fewer than ``LEAST_TRS`` known training volumes.

        Raises
            StudyError: BOLD of another length than the features.
        """
        if len(bold) != len(self.features):
            raise StudyError(
                f"BOLD has {len(bold)} TRs, the features {len(self.features)}: give both whole."
            )
        out = np.full((len(trs), bold.shape[1]), np.nan)
        known = np.isfinite(bold[self.train])
        for parcels in parcels_alike(known):
            here = known[:, parcels[0]]
            if here.sum() < LEAST_TRS:
                continue
            whole, folds = self._kept.get(here.tobytes()) or self._decomposed(here)
            targets = bold[np.ix_(whole.trs, parcels)].astype(np.float64)
            alpha = self._best_alpha(targets, whole.trs, folds)
            level = targets.mean(axis=0)
            shared = whole.coordinates.T @ (targets - level)
            weights = whole.directions.T @ (_shrinkage(whole.singular[:, None], alpha) * shared)
            out[:, parcels] = (self.features[trs] - whole.mean) @ weights + level
        return out

    def _best_alpha(self, targets: np.ndarray, trs: np.ndarray, folds: list[_Fold]) -> np.ndarray:
        """The penalty of each parcel with the smallest squared error over all inner folds."""
        error = np.zeros((len(self.alphas), targets.shape[1]))
        for fold in folds:
            fitted = targets[np.searchsorted(trs, fold.fitted.trs)]
            level = fitted.mean(axis=0)
            shared = fold.fitted.coordinates.T @ (fitted - level)
            held = targets[np.searchsorted(trs, fold.held)] - level
            # The sum of squares of held - features @ weights, without the predictions themselves.
            with_features, power = fold.features.T @ held, np.square(held).sum(axis=0)
            for index, alpha in enumerate(self.alphas):
                weights = _shrinkage(fold.fitted.singular[:, None], alpha) * shared
                explained = (weights * (2 * with_features - fold.gram @ weights)).sum(axis=0)
                error[index] += power - explained
        return self.alphas[error.argmin(axis=0)]

    def _decomposed(self, known: Bool[np.ndarray, " train"]) -> tuple[_Decomposed, list[_Fold]]:
        trs, folds = self.train[known], []
        for fit, held in nested_blocks(trs, self.n_inner_folds, self.gap_trs):
            fitted = _decompose(self.features, trs[fit])
            inside = (self.features[trs[held]] - fitted.mean) @ fitted.directions.T
            folds.append(_Fold(fitted, trs[held], inside, inside.T @ inside))
        return _decompose(self.features, trs), folds


def _decompose(features: np.ndarray, trs: np.ndarray) -> _Decomposed:
    mean = features[trs].mean(axis=0)
    return _Decomposed(trs, mean, *np.linalg.svd(features[trs] - mean, full_matrices=False))


def _shrinkage(singular: np.ndarray, alpha: np.ndarray | float) -> np.ndarray:
    return singular / (np.square(singular) + alpha)
