"""What the usual pipelines predict of BOLD: ridge regression on features of each TR."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from subtr.baselines.canonical import canonical_features
from subtr.baselines.features import mean_mel, onset_flux, sound_power
from subtr.baselines.ridge import FirRidge
from subtr.datasets.held_out import cleaned_bold
from subtr.datasets.study import Fold, Study
from subtr.params import SettingsError


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


def ridge_prediction(
    folds: Sequence[Fold],
    features: Float64[np.ndarray, "tr feature"],
    fir_s: float | None = None,
    canonical: bool = False,
) -> Float64[np.ndarray, "tr parcel"]:
    """FIR ridge's prediction of every test block.

    It learns from training and validation TRs, as it chooses its penalty by blocks within them.

    Arguments
        fir_s: longest lag in seconds; None for 16, and for 0 where the BOLD of a study already lies
            beside its stimulus, or with ``canonical``.
        canonical: the features go through the SPM response first, see `canonical_features`.

    Raises
        SettingsError: lags on top of BOLD that was shifted or deconvolved already.
    """
    study = folds[0].study
    if (fir_s or canonical) and study.hrf_applied:
        raise SettingsError(
            f"fir_s = {fir_s}, canonical = {canonical}: the BOLD of {study.name} already lies "
            "beside its stimulus (hrf_applied), so further lags would shift it twice (double "
            "shifting). Leave both out; if the BOLD does lag its stimulus, load the study with "
            "hrf_applied = False."
        )
    if fir_s is None:
        fir_s = 0.0 if study.hrf_applied or canonical else 16.0
    prediction = np.full((study.clock.n_trs, len(study.parcels)), np.nan)
    for fold in folds:
        _, mean = cleaned_bold(study, fold.split, fold.drift_order)
        known, seen = fold.known, features
        if canonical:
            seen = canonical_features(features, known, study.clock.tr_s, study.run_of_tr)
        ridge = FirRidge(study.clock.tr_s, fir_s)
        ridge.fit(seen, mean, known, study.run_of_tr)
        prediction[fold.test] = ridge.predict(seen, fold.test, study.run_of_tr)
    return prediction
