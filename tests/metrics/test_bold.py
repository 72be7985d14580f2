import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import r2_score as r2_of_sklearn

from subtr.metrics.bold import (
    calibrated,
    check_lag,
    lag_scan,
    pearson_r,
    r2_score,
    standardise_by_fold,
)
from subtr.params import SettingsError


def test_pearson_equals_scipy_and_leaves_out_nan_per_parcel():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 50, 3)) + 1000
    y[:10, 1] = np.nan
    x[40:, 2] = np.nan
    want = [
        stats.pearsonr(x[:, 0], y[:, 0])[0],
        stats.pearsonr(x[10:, 1], y[10:, 1])[0],
        stats.pearsonr(x[:40, 2], y[:40, 2])[0],
    ]
    np.testing.assert_allclose(pearson_r(x, y), want)


@pytest.mark.parametrize("constant", [0.0, 0.1, 12345.678])
def test_a_constant_parcel_has_no_correlation(constant):
    x = np.random.default_rng(0).normal(size=(30, 2))
    y = x.copy()
    y[:, 1] = constant
    r = pearson_r(x, y)
    assert r[0] == pytest.approx(1.0)
    assert np.isnan(r[1])


def test_folds_combine_to_the_mean_of_their_r_weighted_by_length():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 2))
    y = x + rng.normal(size=x.shape)
    tests = [np.arange(0, 20), np.arange(25, 60)]
    x_offset = x.copy()
    x_offset[tests[0]] += 50  # folds come from models with different offsets
    combined = pearson_r(standardise_by_fold(x_offset, tests), standardise_by_fold(y, tests))
    per_fold = [pearson_r(x[trs], y[trs]) for trs in tests]
    np.testing.assert_allclose(combined, np.average(per_fold, axis=0, weights=[20, 35]))
    with pytest.raises(SettingsError, match="two test blocks"):
        standardise_by_fold(x, [np.arange(10), np.arange(5, 20)])


def test_r2_is_scikit_learns_where_the_training_mean_is_the_mean():
    rng = np.random.default_rng(7)
    bold = rng.normal(size=(80, 3)) + 5
    prediction = bold + rng.normal(size=bold.shape)
    want = r2_of_sklearn(bold, prediction, multioutput="raw_values")
    np.testing.assert_allclose(r2_score(prediction, bold, bold.mean(0)), want)
    # Around another mean there is more to explain.
    assert (r2_score(prediction, bold, bold.mean(0) + 3) > want).all()
    bold[:40, 0] = np.nan
    half = r2_of_sklearn(bold[40:, 0], prediction[40:, 0])
    mean = np.nanmean(bold, axis=0)
    assert r2_score(prediction, bold, mean)[0] == pytest.approx(half)


def test_the_training_mean_has_an_r2_of_0_and_the_wrong_units_less():
    bold = np.random.default_rng(8).normal(size=(200, 2))
    np.testing.assert_allclose(r2_score(np.zeros_like(bold), bold), 0)
    assert (r2_score(10 * bold, bold) < -50).all()


def test_calibration_finds_planted_units_from_other_trs_and_leaves_r_alone():
    rng = np.random.default_rng(9)
    bold = rng.normal(size=(400, 2))
    prediction = (bold + 0.5 * rng.normal(size=bold.shape)) * [0.1, 30] + [4, -2]
    found = calibrated(prediction, bold, np.arange(200))
    later = slice(200, None)
    r = pearson_r(prediction[later], bold[later])
    np.testing.assert_allclose(pearson_r(found[later], bold[later]), r)
    # A calibrated prediction explains the square of its r.
    np.testing.assert_allclose(r2_score(found[later], bold[later]), r**2, atol=0.03)
    upside_down = calibrated(-prediction, bold, np.arange(200))
    assert (r2_score(upside_down[later], bold[later]) < 0).all()
    np.testing.assert_allclose(upside_down, bold[:200].mean(0) + 0 * bold, atol=0.01)
    np.testing.assert_allclose(pearson_r(upside_down[later], bold[later]), -r, atol=1e-6)


def test_lag_scan_finds_the_planted_lag_and_warns_elsewhere():
    rng = np.random.default_rng(6)
    feature = rng.normal(size=300)
    bold = np.zeros((300, 2))
    bold[3:] = feature[:-3, None]
    bold += 0.3 * rng.normal(size=bold.shape)
    lags_s, r = lag_scan(feature, bold, 1.5)
    assert lags_s[r.argmax(0)].tolist() == [4.5, 4.5]
    assert check_lag(lags_s, r, 5.0) == 4.5
    with pytest.warns(UserWarning, match=r"lag of 4\.5 s"):
        check_lag(lags_s, r, 0.0)
