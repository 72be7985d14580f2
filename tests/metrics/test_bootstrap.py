import numpy as np
import pytest
from scipy.signal import lfilter

from subtr.metrics.inference import block_bootstrap, block_indices
from subtr.params import SettingsError


def test_resamples_are_whole_blocks_of_consecutive_trs():
    rows = block_indices(40, 8, 50, seed=0)
    inside = np.diff(rows, axis=1).reshape(50, -1)
    breaks = np.delete(inside, np.arange(7, 39, 8), axis=1)
    np.testing.assert_array_equal(breaks % 40, 1)
    assert rows.min() >= 0
    assert rows.max() < 40


def test_every_tr_is_drawn_equally_often():
    counts = np.bincount(block_indices(30, 7, 6000, seed=1).ravel(), minlength=30)
    np.testing.assert_allclose(counts / counts.mean(), 1.0, atol=0.06)


def test_blocks_cover_the_mean_of_an_autocorrelated_series_and_single_trs_do_not():
    rng = np.random.default_rng(0)
    n_sets, n_trs = 200, 400
    series = lfilter([1.0], [1.0, -0.7], rng.normal(size=(n_sets, n_trs + 50)))[:, 50:]

    def coverage(block_trs):
        inside = 0
        for number, one in enumerate(series):
            low, high = block_bootstrap(lambda i, s=one: s[i].mean(), n_trs, block_trs, 200, number)
            inside += low <= 0.0 <= high
        return inside / n_sets

    assert coverage(25) > 0.87  # 0.95 wanted; the block bootstrap is known to fall a little short
    assert coverage(1) < 0.75


def test_statistics_may_be_arrays_with_nan():
    values = np.stack([np.arange(20.0), np.full(20, np.nan)], axis=1)
    interval = block_bootstrap(lambda i: values[i].mean(0), 20, 4, 100)
    assert interval.low[0] < 9.5 < interval.high[0]
    assert np.isnan(interval.low[1])


def test_same_seed_same_interval():
    values = np.random.default_rng(0).normal(size=50)
    first, second = (block_bootstrap(lambda i: values[i].mean(), 50, 5, 50, seed=3) for _ in "ab")
    assert first == second


def test_blocks_longer_than_half_of_the_series_are_refused():
    with pytest.raises(SettingsError, match="block_trs = 30 with 40 TRs"):
        block_bootstrap(lambda i: 0.0, 40, 30)
