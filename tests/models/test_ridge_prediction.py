"""Ridge on features that follow BOLD finds it, and in noise nothing."""

import numpy as np
from tiny_prediction import SPLITS, STUDY, held_out_r

from subtr.datasets.study import Study, folds_of
from subtr.models.ridge import ridge_features, ridge_prediction


def test_ridge_finds_a_feature_that_drives_bold_and_none_in_noise():
    truth = (STUDY.mel[:, -1] - STUDY.mel[:, 0])[:, :1].astype(np.float64)
    noise = np.random.default_rng(0).normal(size=(260, 1))
    assert held_out_r(ridge_prediction(folds_of(STUDY, SPLITS, drift_order=1), truth)) > 0.8
    assert abs(held_out_r(ridge_prediction(folds_of(STUDY, SPLITS, drift_order=1), noise))) < 0.3
    features = ridge_features(STUDY)
    assert list(features) == ["mean mel", "sound power", "onset flux"]
    np.testing.assert_allclose(features["mean mel"], STUDY.mel.mean(1), atol=1e-6)


def test_regressors_of_a_study_are_baselines_too():
    words = np.arange(260.0)[:, None]
    study = Study("words", STUDY.clock, regressors={"word rate": words})
    assert list(ridge_features(study)) == ["word rate"]
    np.testing.assert_array_equal(ridge_features(study)["word rate"], words)
