"""Intervals, shifts and controls: their coverage, their nulls."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import smooth_series
from scipy import stats
from scipy.signal import lfilter

from subtr.metrics.bold import pearson_r, scored_on, standardise_by_fold
from subtr.metrics.inference import (
    block_bootstrap,
    block_indices,
    cross_subject_r,
    false_discovery_q,
    held_out_shift_null,
    permutation_p,
    phase_null,
    phase_randomised,
    phase_randomised_frames,
    shift_null,
    shifted_r,
    shuffle_frames,
    wrong_subject_p,
    wrong_subject_scores,
)
from subtr.metrics.temporal import mel_correlation
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


BLOCKS = [np.arange(0, 40), np.arange(40, 90), np.arange(90, 121)]


def test_every_shift_equals_rolling_standardising_and_correlating():
    rng = np.random.default_rng(0)
    prediction, bold = smooth_series(121, 3, rng), smooth_series(121, 3, rng) + 100
    found = shifted_r(prediction, bold, BLOCKS)
    measured = standardise_by_fold(bold, BLOCKS)
    for shift in (0, 1, 17, 120):
        moved = standardise_by_fold(np.roll(prediction, shift, axis=0), BLOCKS)
        np.testing.assert_allclose(found[shift], pearson_r(moved, measured), atol=1e-9)


def test_standardising_before_the_shift_alone_gives_other_values():
    """Slow series, AR(1): what moves into a block has another mean and deviation there."""
    rng = np.random.default_rng(4)
    noise = rng.normal(size=(121, 2, 40))
    series = np.zeros_like(noise)
    for tr in range(1, 121):
        series[tr] = 0.9 * series[tr - 1] + noise[tr]
    prediction, bold = (standardise_by_fold(of, BLOCKS) for of in series.transpose(1, 0, 2))
    _, null = shift_null(prediction, bold, 8, BLOCKS)
    once = np.array([pearson_r(np.roll(prediction, s, axis=0), bold) for s in range(8, 114)])
    anew = [standardise_by_fold(np.roll(prediction, s, axis=0), BLOCKS) for s in range(8, 114)]
    np.testing.assert_allclose(null, [pearson_r(of, bold) for of in anew], atol=1e-9)
    assert np.abs(null - once).max() > 0.1


def test_the_null_of_held_out_blocks_is_blind_to_their_offsets_and_counts_scored_volumes():
    rng = np.random.default_rng(5)
    prediction, bold = smooth_series(130, 3, rng), smooth_series(130, 3, rng)
    tests = [np.arange(5, 45), np.arange(50, 90), np.arange(90, 125)]
    measured = standardise_by_fold(bold, tests)
    measured[60:75, 1] = np.nan
    observed, null = held_out_shift_null(prediction, measured, tests, 1.5)
    assert len(null) == 115 - 2 * 11 + 1
    scored = scored_on(prediction, measured, tests)
    np.testing.assert_allclose(observed[[0, 2]], pearson_r(scored, measured)[[0, 2]], atol=1e-9)
    moved = prediction.copy()
    for index, trs in enumerate(tests):
        moved[trs] = (index + 1) * moved[trs] + 50 * index
    np.testing.assert_allclose(held_out_shift_null(moved, measured, tests, 1.5)[1], null, atol=1e-9)
    # At each shift the same volumes count: those that were measured, and no fewer.
    trs = np.concatenate(tests)
    moving = np.roll(standardise_by_fold(prediction, tests)[trs], 20, axis=0)
    blocks = [np.arange(40), np.arange(40, 80), np.arange(80, 115)]
    want = pearson_r(scored_on(moving, measured[trs], blocks), measured[trs])
    np.testing.assert_allclose(null[20 - 11][[0, 2]], want[[0, 2]], atol=1e-9)
    r, n = [], []
    for of in blocks:
        r.append(pearson_r(moving[of], measured[trs][of])[1])
        n.append(np.isfinite(measured[trs][of][:, 1]).sum())
    assert null[20 - 11][1] == pytest.approx(np.average(r, weights=n), abs=1e-9)


def test_a_constant_block_counts_and_a_constant_series_has_no_r():
    rng = np.random.default_rng(6)
    prediction, bold = rng.normal(size=(2, 121, 2))
    prediction = prediction + bold
    prediction[BLOCKS[0], 0] = 0.1
    prediction[:, 1] = 0.1
    measured, scored = standardise_by_fold(bold, BLOCKS), standardise_by_fold(prediction, BLOCKS)
    assert (scored[BLOCKS[0], 0] == 0).all()
    r, by_shift = pearson_r(scored, measured), shifted_r(prediction, bold, BLOCKS)[0]
    assert by_shift[0] == pytest.approx(r[0], abs=1e-9)
    without = np.concatenate(BLOCKS[1:])
    assert r[0] < pearson_r(scored[without], measured[without])[0] - 0.05
    assert np.isnan([r[1], by_shift[1]]).all()


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
