import numpy as np
import pytest
from planted import smooth_series
from scipy import stats

from subtr.errors import SettingsError
from subtr.metrics import pearson_r, permutation_p, standardise_by_fold
from subtr.metrics.shifts import shift_null, shifted_r

BLOCKS = [np.arange(0, 40), np.arange(40, 90), np.arange(90, 121)]


def test_every_shift_equals_rolling_standardising_and_correlating():
    rng = np.random.default_rng(0)
    prediction, bold = smooth_series(121, 3, rng), smooth_series(121, 3, rng) + 100
    found = shifted_r(prediction, bold, BLOCKS)
    measured = standardise_by_fold(bold, BLOCKS)
    for shift in (0, 1, 17, 120):
        moved = standardise_by_fold(np.roll(prediction, shift, axis=0), BLOCKS)
        np.testing.assert_allclose(found[shift], pearson_r(moved, measured), atol=1e-9)


def test_masked_volumes_count_in_no_shift_and_constant_series_have_no_r():
    rng = np.random.default_rng(1)
    prediction, bold = rng.normal(size=(2, 121, 3))
    bold[30:55, 0] = np.nan
    prediction[100:, 0] = np.nan
    bold[:, 1], prediction[:, 2] = 7.0, 0.1
    found = shifted_r(prediction, bold, BLOCKS)
    assert np.isnan(found[:, 1:]).all()
    for shift in (0, 5):
        moved = np.roll(prediction, shift, axis=0)
        r = np.array([pearson_r(moved[of, :1], bold[of, :1])[0] for of in BLOCKS])
        n = [(np.isfinite(moved[of, 0]) & np.isfinite(bold[of, 0])).sum() for of in BLOCKS]
        assert found[shift, 0] == pytest.approx(np.average(r, weights=n), abs=1e-9)


def test_nearby_shifts_are_no_draws_of_chance():
    series = smooth_series(200, 1, np.random.default_rng(2))
    observed, null = shift_null(series, series, 11)
    assert observed[0] == pytest.approx(1.0)
    assert len(null) == 200 - 2 * 11 + 1
    assert null.max() < 0.8
    with pytest.raises(SettingsError, match="least_shift_trs = 0"):
        shift_null(series, series, 0)


def test_p_of_shifts_is_uniform_under_the_null_and_that_of_shuffled_trs_is_not():
    """400 pairs of smooth, independent series; the full count is in benchmarks/ceilings.py."""
    rng = np.random.default_rng(3)
    blocks = np.array_split(np.arange(200), 4)
    prediction, bold = smooth_series(200, 400, rng), smooth_series(200, 400, rng)
    observed, null = shift_null(prediction, bold, 11, blocks)
    p = permutation_p(observed, null)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert 0.02 <= (p <= 0.05).mean() <= 0.09
    shuffled = [pearson_r(prediction[rng.permutation(200)], bold) for _ in range(200)]
    naive = permutation_p(observed, np.array(shuffled))
    assert (naive <= 0.05).mean() > 0.15
