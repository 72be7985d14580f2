"""Banded ridge: FIR ridge on several feature spaces, each with a penalty of its own."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from himalaya.backend import set_backend
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from jaxtyping import Float64, Int, Shaped

from subtr.baselines.ridge import DEFAULT_ALPHAS, delayed, known_patterns, nested_blocks
from subtr.metrics.bold import known_deviation, known_mean
from subtr.params import SettingsError

Spaces = Mapping[str, Shaped[np.ndarray, "tr _"]]


class BandedRidge:
    """Ridge regression on the last ``fir_s`` seconds of each feature space, weighted per parcel.

    One penalty for all would let a space of 128 mel bands drown one of word rate. Weights of the
    spaces are drawn at random and chosen per parcel by contiguous blocks within the training TRs,
    with a gap. Means and deviations come from the training TRs alone.

    Arguments
        tr_s: repetition time in seconds.
        fir_s: longest lag in seconds; 0 when the features already went through an HRF.
        alphas: penalties to choose from.
        n_draws: mixtures of the spaces that are tried, after each space alone.
        n_inner_folds: blocks of the inner validation.
        gap_s: seconds left out on either side of an inner held-out block.
        seed: of the draws.
        device: "cpu", "cuda" or None for the GPU when there is one.

    Source: Nunez-Elizalde, Huth and Gallant 2019, Voxelwise encoding models with non-spherical
    multivariate normal priors; solved as in Dupre la Tour et al. 2022 (himalaya).
    """

    def __init__(
        self,
        tr_s: float | int,
        fir_s: float | int = 16.0,
        alphas: Sequence[float | int] = DEFAULT_ALPHAS,
        n_draws: int = 30,
        n_inner_folds: int = 4,
        gap_s: float | int = 16.0,
        seed: int = 0,
        device: str | None = None,
    ):
        self.tr_s, self.alphas, self.n_draws, self.seed = tr_s, tuple(alphas), n_draws, seed
        self.n_inner_folds, self.gap_s = n_inner_folds, gap_s
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.n_lags = math.ceil(fir_s / tr_s - 1e-9) + 1

    def fit(
        self,
        spaces: Spaces,
        bold: Shaped[np.ndarray, "_ parcel"],
        train: Int[np.ndarray, " n"],
        run_of_tr: Int[np.ndarray, " tr"] | None = None,
    ) -> "BandedRidge":
        """Fit on the TRs ``train`` of the whole timeline.

        Arguments
            spaces: name -> features (TR, feature) of the whole stimulus.
            bold: NaN volumes are left out, parcel by parcel.
            train: TR indices; nothing of other TRs' BOLD is used.

        Raises
            SettingsError: no space, one of another length, or too few TRs for the inner folds.
        """
        if not spaces:
            raise SettingsError("spaces: expected at least one feature space.")
        for name, of in spaces.items():
            if len(of) != len(bold):
                raise SettingsError(f"{name}: {len(of)} TRs of features, but {len(bold)} of BOLD.")
        train = np.sort(train)
        self._means, self._spreads = {}, {}
        for name, of in spaces.items():
            inputs = delayed(of, self.n_lags, run_of_tr)[train]
            self._means[name] = np.nan_to_num(known_mean(inputs, axis=0))
            spread = known_deviation(inputs, axis=0)
            # Bands count alike however many features they have.
            size = math.sqrt(inputs.shape[1])
            self._spreads[name] = np.where(spread > 1e-12, spread * size, np.inf)
        inputs = self._inputs(spaces, run_of_tr)
        self._fits, self.n_parcels = [], bold.shape[1]
        for parcels, trs in known_patterns(bold, train):
            self._fits.append(self._fit_parcels(inputs, bold, trs, parcels))
        return self

    def _fit_parcels(self, inputs, bold, trs, parcels):
        gap_trs = math.ceil(self.gap_s / self.tr_s - 1e-9)
        folds = nested_blocks(trs, self.n_inner_folds, gap_trs)
        y = bold[np.ix_(trs, parcels)].astype(np.float64)
        mean, spread = y.mean(axis=0), y.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        kernels = np.stack([x[trs] @ x[trs].T for x in inputs.values()])
        backend = set_backend("torch_cuda" if self.device == "cuda" else "numpy")
        n_spaces = len(inputs)
        alone = np.eye(n_spaces).clip(1e-12)  # himalaya takes logarithms
        rng = np.random.default_rng(self.seed)
        drawn = rng.dirichlet(np.ones(n_spaces), self.n_draws if n_spaces > 1 else 0)
        mixtures = np.concatenate([alone, np.full((1, n_spaces), 1 / n_spaces), drawn])
        draws, alphas = (backend.asarray(of) for of in (mixtures, np.array(self.alphas)))
        solver = {"n_iter": draws, "alphas": alphas, "progress_bar": False}
        model = MultipleKernelRidgeCV(
            "precomputed", solver_params=solver, fit_intercept=True, cv=folds
        )
        model.fit(backend.asarray(kernels), backend.asarray((y - mean) / spread))
        dual = backend.to_numpy(model.dual_coef_) * spread
        weights = np.exp(backend.to_numpy(model.deltas_))
        intercept = backend.to_numpy(model.intercept_) * spread + mean
        return parcels, trs, dual, weights, intercept

    def predict_each(
        self,
        spaces: Spaces,
        trs: Int[np.ndarray, " n"],
        run_of_tr: Int[np.ndarray, " tr"] | None = None,
    ) -> dict[str, Float64[np.ndarray, "n parcel"]]:
        """What each space adds to the prediction of the TRs ``trs``, without the constant."""
        inputs = self._inputs(spaces, run_of_tr)
        found = {name: np.full((len(trs), self.n_parcels), np.nan) for name in inputs}
        for parcels, known, dual, weights, _ in self._fits:
            for (name, x), weight in zip(inputs.items(), weights, strict=True):
                found[name][:, parcels] = x[trs] @ (x[known].T @ dual) * weight
        return found

    def predict(
        self,
        spaces: Spaces,
        trs: Int[np.ndarray, " n"],
        run_of_tr: Int[np.ndarray, " tr"] | None = None,
    ) -> Float64[np.ndarray, "n parcel"]:
        """BOLD at the TRs ``trs`` of the timeline that the features cover, in the unit fitted.

        NaN for parcels that had fewer than 10 known training volumes.
        """
        total = sum(self.predict_each(spaces, trs, run_of_tr).values())
        for parcels, _, _, _, intercept in self._fits:
            total[:, parcels] += intercept
        return total

    def _inputs(self, spaces: Spaces, run_of_tr) -> dict[str, np.ndarray]:
        # Where no stimulus was, the mean, so 0.
        return {
            name: np.nan_to_num(
                (delayed(of, self.n_lags, run_of_tr) - self._means[name]) / self._spreads[name]
            )
            for name, of in spaces.items()
        }
