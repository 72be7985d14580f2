"""Correlation, lag scans and ceilings of BOLD."""

import numpy as np
import pytest
from planted import subjects_of
from scipy import stats
from sklearn.metrics import r2_score as r2_of_sklearn

from subtr.metrics.bold import (
    calibrated,
    check_lag,
    intersubject_ceiling,
    intersubject_correlation,
    lag_scan,
    pearson_r,
    r2_score,
    split_half_ceiling,
    standardise_by_fold,
)
from subtr.metrics.inference import intersubject_interval, split_half_interval
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


@pytest.mark.parametrize("n_subjects", [4, 7])
def test_ceiling_is_what_the_true_signal_reaches(n_subjects):
    rng = np.random.default_rng(2)
    ceilings, reached = [], []
    for number in range(100):
        signal = rng.normal(size=(200, 2))
        noise = rng.normal(size=(n_subjects, 200, 2)) * np.array([1.0, 3.0])
        bold = signal + noise
        ceilings.append(split_half_ceiling(bold, n_splits=20, seed=number))
        reached.append(pearson_r(signal, bold.mean(0)))
    np.testing.assert_allclose(np.mean(ceilings, 0), np.mean(reached, 0), atol=0.03)


def test_single_subject_ceiling_is_what_the_true_signal_reaches_in_one():
    rng = np.random.default_rng(3)
    signal = rng.normal(size=(2000, 1))
    bold = signal + 2.0 * rng.normal(size=(8, 2000, 1))
    want = 1 / np.sqrt(1 + 4)
    assert split_half_ceiling(bold, scored_subjects=1)[0] == pytest.approx(want, abs=0.03)


def test_ceiling_takes_masked_volumes_and_refuses_one_subject():
    rng = np.random.default_rng(4)
    signal = rng.normal(size=(300, 1))
    bold = {f"s{i}": signal + rng.normal(size=signal.shape) for i in range(6)}
    whole = split_half_ceiling(bold)
    bold["s5"][250:] = np.nan
    assert split_half_ceiling(bold)[0] == pytest.approx(whole[0], abs=0.03)
    with pytest.raises(SettingsError, match="at least two"):
        split_half_ceiling({"s0": signal})


def test_pure_noise_has_no_ceiling_worth_dividing_by():
    bold = np.random.default_rng(5).normal(size=(10, 500, 1))
    assert split_half_ceiling(bold)[0] < 0.4


def test_each_subject_is_correlated_with_the_mean_of_the_others():
    rng = np.random.default_rng(6)
    bold = rng.normal(size=(200, 1)) + rng.normal(size=(3, 200, 1))
    z = (bold - bold.mean(1, keepdims=True)) / bold.std(1, keepdims=True)
    want = [np.corrcoef(z[i, :, 0], (z.sum(0) - z[i])[:, 0])[0, 1] for i in range(3)]
    np.testing.assert_allclose(intersubject_correlation(bold)[:, 0], want)
    inside = intersubject_interval(bold)
    assert inside.low[0] < intersubject_ceiling(bold)[0] < inside.high[0]


@pytest.mark.parametrize(("n_subjects", "snr"), [(3, 0.5), (4, 1.0), (9, 0.2)])
def test_intervals_hold_the_true_ceiling_as_often_as_they_say(n_subjects, snr):
    """Noise as the simulated study has it; the full count is in benchmarks/ceilings.py."""
    rng = np.random.default_rng(n_subjects)
    inside = []
    for _ in range(40):
        bold, split_half, intersubject = subjects_of(160, n_subjects, 3, snr, rng)
        low, high = split_half_interval(bold)
        inside.append((low <= split_half) & (split_half <= high))
        low, high = intersubject_interval(bold)
        inside.append((low <= intersubject) & (intersubject <= high))
    # Of 240 at 0.95, within four standard errors.
    assert 0.89 <= np.mean(inside) <= 0.998


def test_a_mean_over_parcels_has_a_narrower_interval_than_one_parcel():
    bold, truth, _ = subjects_of(300, 5, 12, 0.3, np.random.default_rng(2))
    each, together = split_half_interval(bold), split_half_interval(bold, np.ones((1, 12), bool))
    assert together.high[0] - together.low[0] < (each.high - each.low).mean()
    assert together.low[0] < truth < together.high[0]


def test_what_a_subject_lacks_is_left_out_and_what_all_lack_is_nan():
    bold, _, _ = subjects_of(200, 6, 3, 1.0, np.random.default_rng(3))
    whole = split_half_interval(bold)
    bold[2, 150:, 0] = np.nan
    bold[4, :, 1] = np.nan
    bold[:, :, 2] = np.nan
    some = split_half_interval(bold)
    assert some.low[0] == pytest.approx(whole.low[0], abs=0.05)
    assert 0.5 < some.low[1] < some.high[1] <= 1
    assert np.isnan(some.low[2])
    assert np.isnan(intersubject_interval(bold).high[2])


def test_two_subjects_have_an_interval_by_blocks_of_time_and_one_has_none():
    bold, truth, _ = subjects_of(400, 2, 1, 0.5, np.random.default_rng(4))
    low, high = split_half_interval(bold)
    assert low[0] < truth < high[0]
    assert high[0] - low[0] < 0.5
    with pytest.raises(SettingsError, match="at least two"):
        split_half_interval(bold[:1])


def test_the_ceiling_of_a_single_subject_is_lower_and_so_is_its_interval():
    bold, _, _ = subjects_of(400, 8, 1, 0.5, np.random.default_rng(5))
    one, group = split_half_interval(bold, scored_subjects=1), split_half_interval(bold)
    assert one.low[0] < np.sqrt(0.5 / 1.5) < one.high[0] < group.low[0]
