"""What the usual pipelines predict of BOLD: ridge regression on features of each TR."""

import numpy as np
from jaxtyping import Float64

from subtr.baselines import FirRidge, mean_mel, onset_flux, sound_power
from subtr.bold_scoring import cleaned_bold
from subtr.splits import Split
from subtr.study import Study


def ridge_features(study: Study) -> dict[str, Float64[np.ndarray, "tr feature"]]:
    """What the usual pipelines would feed to a ridge regression, by name."""
    features: dict[str, np.ndarray] = {}
    if study.mel is not None:
        features["mean mel"] = mean_mel(study.mel)
        features["sound power"] = sound_power(study.mel)
        features["onset flux"] = onset_flux(study.mel)
    return features | {name: np.asarray(of, float) for name, of in study.regressors.items()}


def ridge_prediction(
    study: Study,
    splits: list[Split],
    features: Float64[np.ndarray, "tr feature"],
    drift_order: int,
    fir_s: float = 16.0,
) -> Float64[np.ndarray, "tr parcel"]:
    """FIR ridge's prediction of every test block.

    It learns from training and validation TRs, as it chooses its penalty by blocks within them.
    """
    prediction = np.full((study.clock.n_trs, len(study.parcels)), np.nan)
    for split in splits:
        _, mean = cleaned_bold(study, split, drift_order)
        known = np.sort(np.concatenate([split.train, split.validation]))
        ridge = FirRidge(study.clock.tr_s, 0.0 if study.hrf_applied else fir_s)
        ridge.fit(features, mean, known, study.run_of_tr)
        prediction[split.test] = ridge.predict(features, split.test, study.run_of_tr)
    return prediction
