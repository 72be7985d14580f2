"""Ridge regression of BOLD on delayed features: FIR, banded, by fold."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV, MultipleKernelRidgeCV
from himalaya.ridge import RidgeCV
from jaxtyping import Float64, Int, Shaped

from subtr.datasets.held_out import cleaned_bold
from subtr.datasets.study import Fold, Study
from subtr.metrics.bold import known_deviation, known_mean, parcels_alike
from subtr.models.linear import canonical_features, mean_mel, onset_flux, sound_power
from subtr.params import SettingsError

DEFAULT_ALPHAS = tuple(10.0**power for power in range(-1, 7))


def delayed(
    features: Shaped[np.ndarray, "tr feature"],
    n_lags: int,
    run_of_tr: Int[np.ndarray, " tr"] | None = None,
) -> Float64[np.ndarray, "tr lag_feature"]:
    """Features of this TR and of the ``n_lags`` - 1 before it, side by side (lag 0 first).

    Before the start of a run there is no stimulus: NaN, which ``FirRidge`` takes for the mean.
    """
    n_trs, n_features = features.shape
    runs = np.zeros(n_trs, int) if run_of_tr is None else run_of_tr
    out = np.full((n_trs, n_lags, n_features), np.nan)
    for lag in range(min(n_lags, n_trs)):
        same_run = runs[lag:] == runs[: n_trs - lag]
        out[lag:, lag][same_run] = features[: n_trs - lag][same_run]
    return out.reshape(n_trs, n_lags * n_features)


def nested_blocks(
    trs: Int[np.ndarray, " n"], n_folds: int, gap_trs: int
) -> list[tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]]:
    """Positions in ``trs`` to fit on and to hold out: contiguous blocks with a gap in time."""
    folds = []
    for held in np.array_split(np.arange(len(trs)), n_folds):
        if not len(held):
            continue
        # Distance in TRs, not in positions: train may itself have holes.
        distance = np.abs(trs[:, None] - trs[held][None, :]).min(axis=1)
        fit = np.flatnonzero(distance > gap_trs)
        if len(fit) >= 2:
            folds.append((fit, held))
    if not folds:
        raise SettingsError(
            f"{len(trs)} training TRs are too few for {n_folds} inner folds with a gap of "
            f"{gap_trs} TRs: use fewer folds, a shorter gap or more training data."
        )
    return folds


def known_patterns(
    bold: Shaped[np.ndarray, "tr parcel"], train: Int[np.ndarray, " n"], least_trs: int = 10
) -> list[tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]]:
    """Parcels that are masked at the same volumes, to be fitted together, and the TRs they have.

    Parcels with fewer than ``least_trs`` are left out.
    """
    known = np.isfinite(bold[train])
    found = [(parcels, train[known[:, parcels[0]]]) for parcels in parcels_alike(known)]
    return [(parcels, trs) for parcels, trs in found if len(trs) >= least_trs]


class _DelayedRidge:
    """What ridge regressions on the last ``fir_s`` seconds have in common."""

    def __init__(self, tr_s, fir_s, alphas, n_inner_folds, gap_s, device):
        self.tr_s, self.fir_s, self.alphas = tr_s, fir_s, tuple(alphas)
        self.n_inner_folds, self.gap_s = n_inner_folds, gap_s
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.n_lags = math.ceil(fir_s / tr_s - 1e-9) + 1

    def _inner_folds(self, trs: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        gap_trs = math.ceil(self.gap_s / self.tr_s - 1e-9)
        return nested_blocks(trs, self.n_inner_folds, gap_trs)

    def _backend(self):
        return set_backend("torch_cuda" if self.device == "cuda" else "numpy")


class FirRidge(_DelayedRidge):
    """Ridge regression on the features of the last ``fir_s`` seconds, alpha chosen per parcel.

    Alpha is chosen by contiguous blocks within the training TRs, with a gap. Means and deviations
    come from the training TRs alone. Features of the stimulus before a test block are known to
    anybody and are used; those of another run are not.

    Arguments
        tr_s: repetition time in seconds.
        fir_s: longest lag in seconds; 0 when the features already went through an HRF.
        alphas: penalties to choose from, for features of deviation 1.
        n_inner_folds: blocks of the inner validation.
        gap_s: seconds left out on either side of an inner held-out block.
        device: "cpu", "cuda" or None for the GPU when there is one.
    """

    def __init__(
        self,
        tr_s: float | int,
        fir_s: float | int = 16.0,
        alphas: Sequence[float | int] = DEFAULT_ALPHAS,
        n_inner_folds: int = 4,
        gap_s: float | int = 16.0,
        device: str | None = None,
    ):
        super().__init__(tr_s, fir_s, alphas, n_inner_folds, gap_s, device)

    def fit(
        self,
        features: Shaped[np.ndarray, "tr feature"],
        bold: Shaped[np.ndarray, "_ parcel"],
        train: Int[np.ndarray, " n"],
        run_of_tr: Int[np.ndarray, " tr"] | None = None,
    ) -> "FirRidge":
        """Fit on the TRs ``train`` of the whole timeline.

        Arguments
            features: (n_trs, k) of the whole stimulus.
            bold: (n_trs, n_parcels); NaN volumes are left out, parcel by parcel.
            train: TR indices; nothing of other TRs' BOLD is used.
        """
        if len(features) != len(bold):
            raise SettingsError(f"{len(features)} TRs of features, but {len(bold)} of BOLD.")
        train = np.sort(train)
        inputs = delayed(features, self.n_lags, run_of_tr)
        # A lag that no training TR has is NaN, then 0.
        self._mean = np.nan_to_num(known_mean(inputs[train], axis=0))
        spread = known_deviation(inputs[train], axis=0)
        self._spread = np.where(spread > 1e-12, spread, np.inf)  # a constant feature says nothing
        inputs = self._standardised(inputs)
        n_parcels = bold.shape[1]
        self.weights = np.zeros((inputs.shape[1], n_parcels))
        self.intercept = np.full(n_parcels, np.nan)
        self.alpha = np.full(n_parcels, np.nan)
        for parcels, trs in known_patterns(bold, train):
            self._fit_parcels(inputs, bold, trs, parcels)
        return self

    def _fit_parcels(self, inputs, bold, trs, parcels):
        folds, backend = self._inner_folds(trs), self._backend()
        x, y = inputs[trs], bold[np.ix_(trs, parcels)].astype(np.float64)
        x_mean, y_mean, y_spread = x.mean(0), y.mean(0), y.std(0)
        y = (y - y_mean) / np.where(y_spread > 0, y_spread, 1.0)
        x = x - x_mean
        # The same minimum, found by way of features where they are fewer than TRs, else of TRs.
        # The intercept is refitted in each inner fold, so held-out blocks lend no mean.
        solver = RidgeCV if x.shape[1] < len(x) else partial(KernelRidgeCV, warn=False)
        model = solver(self.alphas, fit_intercept=True, cv=folds)
        model.fit(backend.asarray(x), backend.asarray(y))
        if isinstance(model, RidgeCV):
            found = backend.to_numpy(model.coef_)
        else:
            found = x.T @ backend.to_numpy(model.dual_coef_)
        self.weights[:, parcels] = found * y_spread
        offset = backend.to_numpy(model.intercept_) * y_spread + y_mean
        self.intercept[parcels] = offset - x_mean @ self.weights[:, parcels]
        self.alpha[parcels] = backend.to_numpy(model.best_alphas_)

    def _standardised(self, inputs):
        # Where no stimulus was, the mean, so 0.
        return np.nan_to_num((inputs - self._mean) / self._spread)

    def predict(
        self,
        features: Shaped[np.ndarray, "tr feature"],
        trs: Int[np.ndarray, " n"],
        run_of_tr: Int[np.ndarray, " tr"] | None = None,
    ) -> Float64[np.ndarray, "n parcel"]:
        """BOLD at the TRs ``trs`` of the timeline that ``features`` cover, in the unit fitted.

        NaN for parcels that had fewer than 10 known training volumes.
        """
        inputs = self._standardised(delayed(features, self.n_lags, run_of_tr))
        return inputs[trs] @ self.weights + self.intercept

    @property
    def kernel(self) -> Float64[np.ndarray, "lag feature parcel"]:
        """Weights by lag, feature and parcel: the estimated response to each feature."""
        return self.weights.reshape(self.n_lags, -1, self.weights.shape[1])


Spaces = Mapping[str, Shaped[np.ndarray, "tr _"]]


class BandedRidge(_DelayedRidge):
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
        super().__init__(tr_s, fir_s, alphas, n_inner_folds, gap_s, device)
        self.n_draws, self.seed = n_draws, seed

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
        folds, backend = self._inner_folds(trs), self._backend()
        y = bold[np.ix_(trs, parcels)].astype(np.float64)
        mean, spread = y.mean(axis=0), y.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        kernels = np.stack([x[trs] @ x[trs].T for x in inputs.values()])
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


def ridge_features(study: Study) -> dict[str, Float64[np.ndarray, "tr feature"]]:
    """What the usual pipelines would feed to a ridge regression, by name."""
    features: dict[str, np.ndarray] = {}
    if study.mel is not None:
        features["mean mel"] = mean_mel(study.mel)
        features["sound power"] = sound_power(study.mel)
        features["onset flux"] = onset_flux(study.mel)
    if study.features is not None:
        features["mean features"] = np.asarray(study.features, float).mean(axis=1)
    return features | {name: np.asarray(of, float) for name, of in study.regressors.items()}


def fit_ridge(
    fold: Fold,
    features: Float64[np.ndarray, "tr feature"],
    fir_s: float | None = None,
    canonical: bool = False,
) -> tuple[FirRidge, Float64[np.ndarray, "tr feature"]]:
    """FIR ridge of the subjects' mean BOLD on one fold, and the features as it takes them.

    It learns from training and validation TRs, as it chooses its penalty by blocks within them.

    Arguments
        fir_s: longest lag in seconds; None for 16, and for 0 where the BOLD of a study already lies
            beside its stimulus, or with ``canonical``.
        canonical: the features go through the SPM response first, see `canonical_features`.

    Raises
        SettingsError: lags on top of BOLD that was shifted or deconvolved already.
    """
    study, known = fold.study, fold.known
    if (fir_s or canonical) and study.hrf_applied:
        raise SettingsError(
            f"fir_s = {fir_s}, canonical = {canonical}: the BOLD of {study.name} already lies "
            "beside its stimulus (hrf_applied), so further lags would shift it twice (double "
            "shifting). Leave both out; if the BOLD does lag its stimulus, load the study with "
            "hrf_applied = False."
        )
    if fir_s is None:
        fir_s = 0.0 if study.hrf_applied or canonical else 16.0
    _, mean = cleaned_bold(study, fold.split, fold.drift_order)
    if canonical:
        features = canonical_features(features, known, study.clock.tr_s, study.run_of_tr)
    ridge = FirRidge(study.clock.tr_s, fir_s)
    return ridge.fit(features, mean, known, study.run_of_tr), features


def ridge_prediction(
    folds: Sequence[Fold],
    features: Float64[np.ndarray, "tr feature"],
    fir_s: float | None = None,
    canonical: bool = False,
) -> Float64[np.ndarray, "tr parcel"]:
    """FIR ridge's prediction of every test block; arguments and errors as of `fit_ridge`."""
    study = folds[0].study
    prediction = np.full((study.clock.n_trs, len(study.parcels)), np.nan)
    for fold in folds:
        ridge, seen = fit_ridge(fold, features, fir_s, canonical)
        prediction[fold.test] = ridge.predict(seen, fold.test, study.run_of_tr)
    return prediction
