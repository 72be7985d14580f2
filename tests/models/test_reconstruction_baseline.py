import numpy as np
import pytest

from subtr.metrics.temporal import within_tr_r2
from subtr.models.linear import (
    PCABaseline,
    lanczos_baseline,
    mean_baseline,
    nearest_baseline,
    sliding_windows,
)
from subtr.params import SettingsError


@pytest.fixture
def windows():
    return np.random.default_rng(0).normal(size=(30, 8, 5)).astype(np.float32)


def test_mean_and_nearest_hold_one_frame_a_tr(windows):
    np.testing.assert_allclose(mean_baseline(windows)[3, 5], windows[3].mean(0), atol=1e-6)
    np.testing.assert_array_equal(nearest_baseline(windows)[3, 0], windows[3, 4])
    assert within_tr_r2(windows, mean_baseline(windows)) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("n_trs", [2, 5, 50])
def test_lanczos_keeps_a_constant(n_trs):
    np.testing.assert_allclose(lanczos_baseline(np.full((n_trs, 8, 2), 3.0)), 3.0, rtol=1e-6)


def test_lanczos_follows_what_is_slower_than_the_tr_and_averaging_does_not():
    times_tr = (np.arange(100 * 32) + 0.5) / 32
    slow = np.sin(2 * np.pi * 0.15 * times_tr).reshape(100, 32, 1)
    assert within_tr_r2(slow[5:-5], lanczos_baseline(slow)[5:-5]) > 0.95
    assert within_tr_r2(slow, mean_baseline(slow)) == pytest.approx(0.0, abs=1e-6)


def test_pca_at_full_rank_gives_its_training_data_back(windows):
    baseline = PCABaseline(29).fit(windows)
    np.testing.assert_allclose(baseline.reconstruct(windows), windows, atol=1e-4)
    assert within_tr_r2(windows, baseline.reconstruct(windows)) == pytest.approx(1.0)


def test_pca_is_the_truncated_svd_of_the_centred_windows(windows):
    flat = windows.reshape(30, -1).astype(np.float64)
    u, s, vt = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    want = (u[:, :6] * s[:6]) @ vt[:6] + flat.mean(0)
    baseline = PCABaseline(6).fit(windows)
    np.testing.assert_allclose(baseline.reconstruct(windows).reshape(30, -1), want, atol=1e-4)
    assert baseline.encode(windows).shape == (30, 6)


def test_more_floats_keep_more(windows):
    scores = [
        within_tr_r2(windows, PCABaseline(n).fit(windows).reconstruct(windows)) for n in (2, 8, 20)
    ]
    assert scores == sorted(scores)


def test_more_floats_than_the_training_data_hold_are_refused(windows):
    with pytest.raises(SettingsError, match="30 training windows of 40 values hold at most 29"):
        PCABaseline(30).fit(windows)


def test_sliding_windows_hold_every_offset(windows):
    slid = sliding_windows(windows)
    assert len(slid) == 29 * 8 + 1
    np.testing.assert_array_equal(slid[::8], windows)
    np.testing.assert_array_equal(slid[3, :5], windows[0, 3:])
    np.testing.assert_array_equal(slid[3, 5:], windows[1, :3])
    # With all offsets there is enough to learn 39 components from.
    PCABaseline(39).fit(slid)
