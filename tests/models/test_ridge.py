import numpy as np
import pytest
from sklearn.linear_model import Ridge

from subtr.metrics.bold import pearson_r
from subtr.models.ridge import FirRidge, delayed, nested_blocks
from subtr.params import SettingsError


def planted(n_trs=300, n_parcels=3, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_trs, 2))
    bold = np.zeros((n_trs, n_parcels))
    bold[3:] = 2.0 * features[:-3, :1] + 7.0
    return features, bold + noise * rng.normal(size=bold.shape)


def test_delays_are_causal_and_stop_at_runs():
    features = np.arange(1.0, 9.0)[:, None]
    runs = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    nan = np.nan
    want = [
        [1, nan, nan], [2, 1, nan], [3, 2, 1], [4, 3, 2],
        [5, nan, nan], [6, 5, nan], [7, 6, 5], [8, 7, 6],
    ]  # fmt: skip
    np.testing.assert_array_equal(delayed(features, 3, runs), want)


def test_lags_cover_16_s_at_any_tr():
    assert [FirRidge(tr_s).n_lags for tr_s in (1.0, 1.49, 1.5, 2.0)] == [17, 12, 12, 9]


def test_equals_ridge_of_scikit_learn():
    features, bold = planted()
    train, test = np.arange(50, 220), np.arange(240, 300)
    model = FirRidge(2.0, alphas=[30.0]).fit(features, bold, train)
    x = delayed(features, 9)
    mean, spread = x[train].mean(0), x[train].std(0)
    # Penalties act on standardised BOLD, so scale back to compare.
    want = np.empty((60, 3))
    for parcel in range(3):
        y = bold[train, parcel]
        oracle = Ridge(alpha=30.0).fit((x[train] - mean) / spread, (y - y.mean()) / y.std())
        want[:, parcel] = oracle.predict((x[test] - mean) / spread) * y.std() + y.mean()
    np.testing.assert_allclose(model.predict(features, test), want, rtol=1e-5)


def test_alpha_is_the_one_that_held_out_blocks_prefer():
    features, bold = planted(noise=3.0)
    train = np.arange(240)
    alphas = [1.0, 100.0, 1e5]
    model = FirRidge(2.0, alphas=alphas).fit(features, bold, train)
    x = delayed(features, 9)
    x = np.nan_to_num((x - np.nanmean(x[train], 0)) / np.nanstd(x[train], 0))
    losses = np.zeros((3, 3))
    for fit, held in nested_blocks(train, 4, 8):
        for row, alpha in enumerate(alphas):
            y = (bold[train] - bold[train].mean(0)) / bold[train].std(0)
            oracle = Ridge(alpha=alpha).fit(x[train][fit], y[fit])
            losses[row] += ((oracle.predict(x[train][held]) - y[held]) ** 2).mean(0)
    np.testing.assert_allclose(model.alpha, np.array(alphas)[losses.argmin(0)], rtol=1e-5)


def test_finds_the_planted_lag_and_predicts_unseen_time():
    features, bold = planted()
    model = FirRidge(2.0).fit(features, bold, np.arange(200))
    assert model.kernel.shape == (9, 2, 3)
    assert (np.abs(model.kernel).reshape(18, 3).argmax(0) == 6).all()  # lag 3, feature 0
    assert pearson_r(model.predict(features, np.arange(220, 300)), bold[220:]).min() > 0.9


def test_nothing_outside_of_train_is_used():
    features, bold = planted()
    train, test = np.arange(200), np.arange(220, 300)
    honest = FirRidge(2.0).fit(features, bold, train)
    changed = bold.copy()
    changed[200:] = 1e6
    features_after = features.copy()
    features_after[200:] *= 1e3
    again = FirRidge(2.0).fit(features_after, changed, train)
    np.testing.assert_array_equal(honest.weights, again.weights)
    np.testing.assert_array_equal(honest.predict(features, test), again.predict(features, test))


def test_statistics_from_all_data_would_be_noticed():
    # The planted leak: scaling by all TRs, test included, changes the predictions.
    features, bold = planted()
    features[220:] += 30.0
    train, test = np.arange(200), np.arange(220, 300)
    honest = FirRidge(2.0).fit(features, bold, train).predict(features, test)
    leaky_features = (features - features.mean(0)) / features.std(0)
    leaky_features[:200] = (features[:200] - features.mean(0)) / features.std(0) * 0.1
    leaky = FirRidge(2.0).fit(leaky_features, bold, train).predict(leaky_features, test)
    assert np.abs(honest - leaky).max() > 1.0


def test_masked_volumes_are_left_out_parcel_by_parcel():
    features, bold = planted()
    masked = bold.copy()
    masked[:60, 1] = np.nan
    masked[:, 2] = np.nan
    train, test = np.arange(200), np.arange(220, 300)
    model = FirRidge(2.0).fit(features, masked, train)
    prediction = model.predict(features, test)
    assert np.isnan(prediction[:, 2]).all()
    alone = FirRidge(2.0).fit(features, bold[:, :1], train)
    np.testing.assert_allclose(prediction[:, :1], alone.predict(features, test), rtol=1e-6)
    assert pearson_r(prediction[:, 1:2], bold[220:, 1:2])[0] > 0.9


def test_inner_blocks_keep_the_gap_in_time_where_train_has_holes():
    trs = np.r_[0:40, 60:100]
    for fit, held in nested_blocks(trs, 4, 8):
        assert np.abs(trs[fit][:, None] - trs[held]).min() > 8
        assert (np.diff(held) == 1).all()
    with pytest.raises(SettingsError, match="too few"):
        nested_blocks(np.arange(6), 3, 10)


def test_features_and_bold_of_different_length_are_refused():
    features, bold = planted()
    with pytest.raises(SettingsError, match="290 TRs of features, but 300 of BOLD"):
        FirRidge(2.0).fit(features[:290], bold, np.arange(100))
