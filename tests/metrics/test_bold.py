import numpy as np
import pytest
from scipy import stats

from subtr.errors import SettingsError
from subtr.metrics.bold import (
    check_lag,
    lag_scan,
    pearson_r,
    r_over_ceiling,
    split_half_ceiling,
    standardise_by_fold,
)


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
    shares = r_over_ceiling(np.array([0.4, 0.4]), np.array([0.8, 0.05]))
    assert shares[0] == pytest.approx(0.5)
    assert np.isnan(shares[1])


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
