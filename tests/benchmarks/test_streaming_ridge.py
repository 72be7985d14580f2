"""Decomposed once, the answer is that of a plain ridge regression, subject by subject."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from benchmarks.streaming_ridge import StreamingRidge
from subtr.models.ridge import delayed, nested_blocks
from subtr.params import StudyError

ALPHAS = (0.1, 10.0, 1000.0)
TRAIN, TEST = np.arange(120), np.arange(130, 200)


def planted(noise=2.0, seed=0, n_features=7, n_parcels=4):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(200, n_features)) * 3 + 5
    weights = rng.normal(size=(n_features, n_parcels))
    bold = features @ weights + noise * rng.normal(size=(200, n_parcels)) + 100
    return features, bold


def plain(features, bold, train, alphas=ALPHAS, n_folds=4, gap_trs=8):
    """scikit-learn's, each penalty tried in each block."""
    scaled = (features - features[train].mean(0)) / features[train].std(0)
    out = np.full(bold.shape, np.nan)
    for parcel in range(bold.shape[1]):
        trs = train[np.isfinite(bold[train, parcel])]
        errors = []
        for alpha in alphas:
            of_folds = []
            for fit, held in nested_blocks(trs, n_folds, gap_trs):
                ridge = Ridge(alpha).fit(scaled[trs[fit]], bold[trs[fit], parcel])
                error = bold[trs[held], parcel] - ridge.predict(scaled[trs[held]])
                of_folds.append(np.square(error).sum())
            errors.append(np.sum(of_folds))
        best = Ridge(alphas[int(np.argmin(errors))]).fit(scaled[trs], bold[trs, parcel])
        out[:, parcel] = best.predict(scaled)
    return out


@given(seed=st.integers(0, 100), noise=st.sampled_from([0.1, 5.0, 50.0]))
@settings(max_examples=10, deadline=None)
def test_it_is_plain_ridge_with_nested_blocks(seed, noise):
    features, bold = planted(noise, seed)
    ridge = StreamingRidge(features, TRAIN, 2.0, ALPHAS)
    np.testing.assert_allclose(
        ridge.predict(bold, TEST), plain(features, bold, TRAIN)[TEST], rtol=1e-8
    )


def test_masked_volumes_are_left_out_of_a_parcel_and_of_no_other():
    features, bold = planted()
    bold[30:50, 1] = np.nan
    bold[:115, 3] = np.nan
    ridge = StreamingRidge(features, TRAIN, 2.0, ALPHAS)
    found = ridge.predict(bold, TEST)
    np.testing.assert_allclose(found[:, :3], plain(features, bold[:, :3], TRAIN)[TEST], rtol=1e-8)
    assert np.isnan(found[:, 3]).all()  # five volumes tell nothing


def test_a_subject_does_not_touch_the_next():
    features, first = planted()
    _, second = planted(seed=1)
    ridge = StreamingRidge(features, TRAIN, 2.0)
    alone = ridge.predict(second, TEST)
    masked = first.copy()
    masked[:60] = np.nan
    for bold in (first, masked):
        ridge.predict(bold, TEST)
    np.testing.assert_array_equal(ridge.predict(second, TEST), alone)


def test_only_training_volumes_are_used():
    features, bold = planted()
    changed = bold.copy()
    changed[120:] = -999.0
    ridge = StreamingRidge(features, TRAIN, 2.0)
    np.testing.assert_array_equal(ridge.predict(bold, TEST), ridge.predict(changed, TEST))


def test_a_lag_before_the_start_and_a_constant_feature_say_nothing():
    features, bold = planted()
    inputs = delayed(np.c_[features, np.ones(200)], 3)
    assert np.isnan(inputs).any()
    found = StreamingRidge(inputs, TRAIN, 2.0, ALPHAS).predict(bold, TEST)
    kept = np.setdiff1d(np.arange(24), [7, 15, 23])
    without = StreamingRidge(inputs[:, kept], TRAIN, 2.0, ALPHAS).predict(bold, TEST)
    np.testing.assert_allclose(found, without, rtol=1e-8)


def test_another_length_is_named():
    features, bold = planted()
    with pytest.raises(StudyError, match="BOLD has 199 TRs, the features 200"):
        StreamingRidge(features, TRAIN, 2.0).predict(bold[:199], TEST)
