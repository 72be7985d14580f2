import numpy as np
import pytest

from subtr.errors import SettingsError
from subtr.metrics import mel_correlation
from subtr.metrics.controls import (
    circular_shift_null,
    permutation_p,
    shuffle_frames,
    wrong_subject_p,
    wrong_subject_scores,
)


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


def test_circular_shift_leaves_chance_only():
    rng = np.random.default_rng(1)
    smooth = np.stack([np.convolve(rng.normal(size=309), np.ones(10), "valid") for _ in "ab"], 1)
    bold = smooth + rng.normal(size=smooth.shape)
    null = circular_shift_null(smooth, bold, least_shift_trs=11)
    assert abs(null.mean()) < 0.06
    assert null.max() < 0.7
    observed = np.array([0.9, 0.0])
    p = permutation_p(observed, null)
    assert p[0] < 0.01
    assert p[1] > 0.2
    with pytest.raises(SettingsError, match="least_shift_trs"):
        circular_shift_null(smooth[:20], bold[:20], least_shift_trs=15)


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
