import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from subtr.metrics.temporal import (
    BANDS_HZ,
    frame_correlation,
    mel_correlation,
    preservation_sums,
    preservation_sums_by_band,
    temporal_preservation,
)

windows_strategy = array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=9).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-10, 10, width=32))
)


def changing(windows):
    return windows.std(axis=1).max() > 1e-3


@given(windows_strategy)
@settings(max_examples=50, deadline=None)
def test_identity_scores_one_and_averaging_zero(windows):
    score = temporal_preservation(windows, windows)
    if not changing(windows):
        return
    assert score == 1.0
    averaged = np.repeat(windows.mean(1, keepdims=True), windows.shape[1], axis=1)
    assert temporal_preservation(windows, averaged) == pytest.approx(0.0, abs=1e-9)


@given(windows_strategy, st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_a_constant_per_tr_and_feature_changes_nothing(windows, seed):
    if not changing(windows):
        return
    rng = np.random.default_rng(seed)
    reconstruction = windows + rng.normal(size=windows.shape)
    offset = rng.normal(scale=100, size=(len(windows), 1, windows.shape[2]))
    want = temporal_preservation(windows, reconstruction)
    assert temporal_preservation(windows, reconstruction + offset) == pytest.approx(want, rel=1e-6)
    assert temporal_preservation(windows + offset, reconstruction) == pytest.approx(want, rel=1e-6)


def test_known_noise_gives_the_score_by_its_definition():
    rng = np.random.default_rng(0)
    original = rng.normal(size=(500, 64, 4))
    noisy = original + 0.5 * rng.normal(size=original.shape)
    assert temporal_preservation(original, noisy) == pytest.approx(1 - 0.25, abs=0.01)


def test_a_stimulus_that_never_changes_has_no_score():
    assert np.isnan(temporal_preservation(np.ones((3, 8, 2)), np.zeros((3, 8, 2))))


@pytest.mark.parametrize("n_frames", [63, 64])
def test_bands_add_up_to_the_whole(n_frames):
    rng = np.random.default_rng(1)
    original = rng.normal(size=(20, n_frames, 5))
    reconstruction = original + rng.normal(size=original.shape)
    whole = preservation_sums(original, reconstruction)
    bands = preservation_sums_by_band(original, reconstruction, n_frames / 1.5)
    np.testing.assert_allclose(sum(b.error for b in bands.values()), whole.error)
    np.testing.assert_allclose(sum(b.deviation for b in bands.values()), whole.deviation)


@pytest.mark.parametrize(
    ("rate_hz", "band"),
    [
        (4 / 3, "under 2 Hz"),
        (2.0, "2-4 Hz"),
        (4.0, "4-8 Hz"),
        (8.0, "8-16 Hz"),
        (16.0, "over 16 Hz"),
    ],
)
def test_a_lost_rate_lowers_its_own_band_alone(rate_hz, band):
    times_s = (np.arange(30 * 64) + 0.5) * 1.5 / 64
    # On the grid of the 1.5 s window every rate is one bin, so nothing leaks between bands.
    rates = (4 / 3, 2.0, 4.0, 8.0, 16.0)
    waves = {rate: np.sin(2 * np.pi * rate * times_s) for rate in rates}
    original = sum(waves.values()).reshape(30, 64, 1)
    lacking = original - waves[rate_hz].reshape(30, 64, 1)
    sums = preservation_sums_by_band(original, lacking, 64 / 1.5)
    assert set(sums) == set(BANDS_HZ)
    for name, of in sums.items():
        assert of.score() == pytest.approx(0.0 if name == band else 1.0, abs=1e-9)


def test_a_band_that_frames_cannot_carry_is_nan():
    original = np.random.default_rng(0).normal(size=(4, 8, 2))
    assert np.isnan(preservation_sums_by_band(original, original, 8 / 2.0)["8-16 Hz"].score())


def test_mel_correlation_equals_numpy():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 5, 6, 7))
    assert mel_correlation(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_frame_correlation_is_the_mean_over_frames_and_takes_pictures():
    rng = np.random.default_rng(3)
    a = rng.integers(0, 255, size=(3, 2, 4, 5, 3), dtype=np.uint8)
    b = rng.integers(0, 255, size=(3, 2, 4, 5, 3), dtype=np.uint8)
    pairs = zip(a.reshape(6, -1), b.reshape(6, -1), strict=True)
    want = np.mean([np.corrcoef(x, y)[0, 1] for x, y in pairs])
    assert frame_correlation(a, b) == pytest.approx(want)
    a[0, 0] = 7  # a black frame has no correlation and must not become NaN for all
    assert np.isfinite(frame_correlation(a, b))
