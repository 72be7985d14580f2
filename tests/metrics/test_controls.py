import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import smooth_series
from scipy import stats

from subtr.metrics.bold import pearson_r
from subtr.metrics.inference import (
    cross_subject_r,
    false_discovery_q,
    permutation_p,
    phase_null,
    phase_randomised,
    phase_randomised_frames,
    shuffle_frames,
    wrong_subject_p,
    wrong_subject_scores,
)
from subtr.metrics.temporal import mel_correlation


def test_shuffling_keeps_what_a_tr_holds_and_breaks_its_order():
    windows = np.random.default_rng(0).normal(size=(20, 16, 3))
    shuffled = shuffle_frames(windows, seed=1)
    np.testing.assert_allclose(shuffled.mean(1), windows.mean(1))
    # Whole frames move: their features stay together.
    frames = {tuple(frame) for frame in windows.reshape(-1, 3)}
    assert frames == {tuple(frame) for frame in shuffled.reshape(-1, 3)}
    assert abs(mel_correlation(windows, shuffled)) < 0.2
    orders = np.abs(windows[:, :, None] - shuffled[:, None]).sum(-1).argmin(1)
    assert len({tuple(order) for order in orders}) == 20  # each TR an order of its own


def test_p_is_never_zero_and_uniform_under_the_null():
    assert permutation_p(10.0, np.zeros(99)) == 0.01
    draws = np.random.default_rng(0).normal(size=(1000, 100))
    p = np.array([permutation_p(float(row[0]), row[1:]) for row in draws])
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.02)
    assert np.isnan(permutation_p(np.array([np.nan]), np.zeros((9, 1)))[0])


def test_wrong_subject_pairing_finds_what_is_a_subjects_own():
    rng = np.random.default_rng(2)
    shared = rng.normal(size=(200, 2))
    own = {f"s{i}": rng.normal(size=(200, 2)) * np.array([1.0, 0.0]) for i in range(6)}
    bold = {s: shared + own[s] + rng.normal(size=shared.shape) for s in own}
    predictions = {s: shared + own[s] for s in own}
    right, wrong = wrong_subject_scores(predictions, bold)
    assert right.shape == (6, 2)
    assert wrong.shape == (30, 2)
    p = wrong_subject_p(predictions, bold)
    assert p[0] < 0.02  # parcel 0 holds something of each subject
    assert p[1] > 0.05  # parcel 1 only what all share
    r = cross_subject_r({"group": shared}, bold)
    assert r.shape == (1, 6, 2)
    np.testing.assert_allclose(r[0, 3], pearson_r(shared, bold["s3"]))


def test_p_of_a_wrong_subject_keeps_its_level_where_heads_know_nothing_of_theirs():
    rng = np.random.default_rng(4)
    p = []
    for _ in range(40):
        shared = smooth_series(80, 6, rng)
        bold = {f"s{i}": shared + 2 * smooth_series(80, 6, rng) for i in range(5)}
        heads = {s: shared + smooth_series(80, 6, rng) for s in bold}
        p.append(wrong_subject_p(heads, bold, n_draws=100))
    assert (np.concatenate(p) <= 0.05).mean() <= 0.09
    assert np.mean(p) == pytest.approx(0.5, abs=0.08)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 90), channels=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_surrogate_keeps_mean_spectra_and_cross_spectra(n, channels, seed):
    series = np.random.default_rng(seed).normal(size=(n, channels)) + 3
    surrogate = phase_randomised(series, seed)
    np.testing.assert_allclose(surrogate.mean(0), series.mean(0), atol=1e-9)
    spectra = [np.fft.rfft(of, axis=0) for of in (series, surrogate)]
    cross = [np.einsum("fa,fb->fab", of, of.conj()) for of in spectra]
    np.testing.assert_allclose(cross[1], cross[0], atol=1e-8)


def test_a_surrogate_has_nothing_else_of_the_series_and_another_seed_another():
    rng = np.random.default_rng(5)
    clicks = (rng.random((4000, 1)) < 0.02).astype(float)
    surrogate = phase_randomised(clicks, 1)
    assert abs(pearson_r(surrogate, clicks)[0]) < 0.1
    # Clicks are rare and large; a sum of waves of random phase is Gaussian.
    assert stats.kurtosis(clicks[:, 0]) > 20
    assert abs(stats.kurtosis(surrogate[:, 0])) < 1
    assert abs(pearson_r(surrogate, phase_randomised(clicks, 2))[0]) < 0.1


def test_frames_are_one_stream_within_a_run_and_none_across_runs():
    windows = np.random.default_rng(6).normal(size=(30, 8, 5)).astype(np.float32)
    run_of_tr = np.repeat([0, 1], [12, 18])
    found = phase_randomised_frames(windows, run_of_tr, seed=3)
    assert found.dtype == np.float32
    for run in (0, 1):
        want = phase_randomised(windows[run_of_tr == run].reshape(-1, 5), 3 + 1000 * run)
        np.testing.assert_allclose(found[run_of_tr == run].reshape(-1, 5), want, atol=1e-5)
    changed = windows.copy()
    changed[12:] += 5
    np.testing.assert_array_equal(
        phase_randomised_frames(changed, run_of_tr, seed=3)[:12], found[:12]
    )


def test_p_of_surrogates_is_uniform_under_the_null_and_small_for_the_truth():
    rng = np.random.default_rng(7)
    prediction, bold = smooth_series(240, 300, rng), smooth_series(240, 300, rng)
    null = phase_null(prediction, bold, n_draws=99)
    p = permutation_p(pearson_r(prediction, bold), null)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert 0.02 <= (p <= 0.05).mean() <= 0.09
    related = bold + smooth_series(240, 300, rng)
    p = permutation_p(pearson_r(related, bold), phase_null(related, bold, n_draws=99))
    assert (p <= 0.05).mean() > 0.9


def test_false_discoveries_stay_rare_among_those_called():
    """Benjamini and Hochberg by hand, then the rate over many parcels of which most are null."""
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.5])
    by_hand = [0.04, 0.16 / 3, np.nan, 0.16 / 3, 0.5]
    np.testing.assert_allclose(false_discovery_q(p), by_hand)
    rng = np.random.default_rng(8)
    shares = []
    for _ in range(200):
        p = stats.norm.sf(rng.normal(size=100) + np.repeat([4.0, 0.0], [20, 80]))
        called = false_discovery_q(p) <= 0.05
        shares.append(called[20:].sum() / max(called.sum(), 1))
        assert called[:20].sum() >= 10
    assert np.mean(shares) <= 0.06
    assert np.isnan(false_discovery_q(np.full(3, np.nan))).all()
