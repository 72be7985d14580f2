"""Within-TR R2, modulation transfer and motion, against known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import gaussian_filter, map_coordinates

from subtr.metrics.inference import block_bootstrap
from subtr.metrics.temporal import (
    BANDS_HZ,
    averaging_gain,
    flow_sums,
    frame_correlation,
    mel_correlation,
    modulation_spectrum,
    modulation_transfer,
    motion_sums,
    within_tr_r2,
    within_tr_sums,
    within_tr_sums_by_band,
)
from subtr.models.linear import lanczos_baseline, mean_baseline, nearest_baseline
from subtr.params import SettingsError
from subtr.stimulus.flow import optical_flow
from subtr.timeline import Clock

windows_strategy = array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=9).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-10, 10, width=32))
)


def changing(windows):
    return windows.std(axis=1).max() > 1e-3


@given(windows_strategy)
@settings(max_examples=50, deadline=None)
def test_identity_scores_one_and_averaging_zero(windows):
    score = within_tr_r2(windows, windows)
    if not changing(windows):
        return
    assert score == 1.0
    averaged = np.repeat(windows.mean(1, keepdims=True), windows.shape[1], axis=1)
    assert within_tr_r2(windows, averaged) == pytest.approx(0.0, abs=1e-9)


@given(windows_strategy, st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_a_constant_per_tr_and_feature_changes_nothing(windows, seed):
    if not changing(windows):
        return
    rng = np.random.default_rng(seed)
    reconstruction = windows + rng.normal(size=windows.shape)
    offset = rng.normal(scale=100, size=(len(windows), 1, windows.shape[2]))
    want = within_tr_r2(windows, reconstruction)
    assert within_tr_r2(windows, reconstruction + offset) == pytest.approx(want, rel=1e-6)
    assert within_tr_r2(windows + offset, reconstruction) == pytest.approx(want, rel=1e-6)


def test_known_noise_gives_the_score_by_its_definition():
    rng = np.random.default_rng(0)
    original = rng.normal(size=(500, 64, 4))
    noisy = original + 0.5 * rng.normal(size=original.shape)
    assert within_tr_r2(original, noisy) == pytest.approx(1 - 0.25, abs=0.01)


def test_a_stimulus_that_never_changes_has_no_score():
    assert np.isnan(within_tr_r2(np.ones((3, 8, 2)), np.zeros((3, 8, 2))))


@pytest.mark.parametrize("n_frames", [63, 64])
def test_bands_add_up_to_the_whole(n_frames):
    rng = np.random.default_rng(1)
    original = rng.normal(size=(20, n_frames, 5))
    reconstruction = original + rng.normal(size=original.shape)
    whole = within_tr_sums(original, reconstruction)
    bands = within_tr_sums_by_band(original, reconstruction, n_frames / 1.5)
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
    sums = within_tr_sums_by_band(original, lacking, 64 / 1.5)
    assert set(sums) == set(BANDS_HZ)
    for name, of in sums.items():
        assert of.score() == pytest.approx(0.0 if name == band else 1.0, abs=1e-9)


def test_a_band_that_frames_cannot_carry_is_nan():
    original = np.random.default_rng(0).normal(size=(4, 8, 2))
    assert np.isnan(within_tr_sums_by_band(original, original, 8 / 2.0)["8-16 Hz"].score())


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


CLOCK = Clock(tr_s=1.5, n_trs=40)


def test_identity_has_gain_one_everywhere():
    transfer = modulation_transfer(lambda windows: windows, CLOCK, [0.3, 2.0, 5.5, 16.0])
    np.testing.assert_allclose(transfer.gain, 1.0)
    np.testing.assert_allclose(transfer.faithful_gain, 1.0)


def test_averaging_has_the_gain_of_the_sampled_sinc():
    rates_hz = np.array([0.1, 0.5, 1.0, 2.0, 3.0, 4.0, 5.1, 8.0])
    transfer = modulation_transfer(mean_baseline, CLOCK, rates_hz)
    np.testing.assert_allclose(transfer.gain, averaging_gain(rates_hz, 1.5, 64), atol=1e-6)
    # Held for the TR, what comes back in phase is weaker by the same factor once more. At half a
    # cycle a TR and its odd multiples, aliases fall on the driven rate for single phases only.
    np.testing.assert_allclose(transfer.faithful_gain, transfer.gain**2, atol=1e-6)


def test_a_mean_of_1500_ms_is_deaf_to_speech_rhythms():
    transfer = modulation_transfer(mean_baseline, CLOCK, [2, 3, 4, 8])
    np.testing.assert_allclose(transfer.gain[[0, 2, 3]], 0.0, atol=1e-6)
    assert transfer.gain_db[1] == pytest.approx(-22.9, abs=0.05)


def test_nearest_frame_answers_in_full_but_not_faithfully():
    transfer = modulation_transfer(nearest_baseline, CLOCK, [3.0])
    assert transfer.gain[0] == pytest.approx(1.0, abs=1e-5)
    assert abs(transfer.faithful_gain[0]) < 0.1


def test_lanczos_passes_slow_and_stops_fast_modulation():
    long = Clock(tr_s=1.5, n_trs=120)
    transfer = modulation_transfer(lanczos_baseline, long, [0.05, 2.0, 4.0])
    assert transfer.faithful_gain[0] == pytest.approx(1.0, abs=0.03)
    assert (transfer.gain[1:] < 0.02).all()


def test_carrier_and_depth_set_the_level_and_drop_out_of_the_gain():
    carrier = np.array([-5.0, -3.0, 2.0])
    seen = []

    def half(windows):
        seen.append(windows.mean((0, 1)))
        return 0.5 * windows + 3.0

    transfer = modulation_transfer(half, CLOCK, [2.0], carrier=carrier, depth=np.array([1.0, 2, 3]))
    np.testing.assert_allclose(seen[0], carrier)
    np.testing.assert_allclose(transfer.gain, 0.5, rtol=1e-5)


def test_rates_beyond_the_frames_are_refused():
    with pytest.raises(SettingsError, match=r"half of the frame rate \(21"):
        modulation_transfer(mean_baseline, CLOCK, [30.0])


def test_modulation_spectrum_finds_rate_and_amplitude():
    times_s = np.arange(4000) / 40.0
    frames = 0.7 * np.cos(2 * np.pi * 4.0 * times_s)[:, None] + np.array([3.0, -2.0])
    rates_hz, amplitude = modulation_spectrum(frames, 40.0, window_s=10.0)
    assert rates_hz[amplitude.argmax()] == pytest.approx(4.0)
    assert amplitude.max() == pytest.approx(0.7, rel=1e-3)


# Flows and films whose agreement is known.


HEIGHT, WIDTH, N_TRS = 36, 64, 8
flows = arrays(np.float64, (3, 2, 4, 5, 2), elements=st.floats(-8, 8, width=16))


def film(speed=1.0, n_pictures=4, n_trs=N_TRS):
    """A textured disc that crosses textured ground, each TR in another direction."""
    rng = np.random.default_rng(0)
    ground, front = (
        127 + 110 * noise / np.abs(noise).max()
        for noise in (gaussian_filter(rng.standard_normal((99, 99)), 2.0) for _ in range(2))
    )
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    pictures = []
    for tr in range(n_trs):
        angle = 2 * np.pi * tr / n_trs
        for number in range(n_pictures):
            far = 1.5 * speed * (number - (n_pictures - 1) / 2)
            y, x = rows - far * np.sin(angle), columns - far * np.cos(angle)
            inside = np.hypot(y - 18, x - 32) < 10
            moved = map_coordinates(front, [y, x], order=3, mode="wrap")
            pictures.append(np.where(inside, moved, ground[:HEIGHT, :WIDTH]))
    shape = (n_trs, n_pictures, HEIGHT, WIDTH, 1)
    return np.rint(np.reshape(pictures, shape)).clip(0, 255).astype(np.uint8).repeat(3, -1)


@given(flows, st.floats(0.1, 10))
@settings(max_examples=50, deadline=None)
def test_coherence_is_a_cosine_and_knows_no_speed(flow, speed):
    if np.abs(flow).max() < 1e-3:
        return
    same, faster, backwards = (flow_sums(flow, by * flow) for by in (1, speed, -speed))
    assert same.coherence() == pytest.approx(1)
    assert same.end_point_error() == pytest.approx(0, abs=1e-12)
    assert faster.coherence() == pytest.approx(1)
    assert faster.end_point_error() == pytest.approx(abs(speed - 1))
    assert backwards.coherence() == pytest.approx(-1)
    assert backwards.end_point_error() == pytest.approx(1 + speed)
    still = flow_sums(flow, np.zeros_like(flow))
    assert (still.coherence(), still.end_point_error()) == (0, 1)


@given(flows, flows)
@settings(max_examples=50, deadline=None)
def test_coherence_is_that_of_the_flattened_flows_and_the_same_both_ways(one, other):
    a, b = one.ravel(), other.ravel()
    norm = np.sqrt((a @ a) * (b @ b))
    if norm < 1e-6:
        return
    assert flow_sums(one, other).coherence() == pytest.approx(a @ b / norm, abs=1e-9)
    assert flow_sums(other, one).coherence() == pytest.approx(a @ b / norm, abs=1e-9)


def test_a_film_moves_as_itself_and_not_at_all_when_it_stands_still():
    original = film()
    assert motion_sums(original, original).coherence() == pytest.approx(1)
    assert motion_sums(original, original).end_point_error() == 0
    average = original.mean(axis=1, keepdims=True).repeat(4, axis=1).astype(np.uint8)
    still = motion_sums(original, average)
    assert still.coherence() == pytest.approx(0, abs=0.02)
    assert still.end_point_error() == pytest.approx(1, abs=0.02)


def test_a_film_that_runs_backwards_moves_against_itself():
    original = film()
    assert motion_sums(original, original[:, ::-1].copy()).coherence() < -0.8


def test_half_the_speed_is_the_same_motion_and_half_the_error():
    sums = motion_sums(film(1.0), film(0.5))
    assert sums.coherence() > 0.9
    assert sums.end_point_error() == pytest.approx(0.5, abs=0.15)


def test_noise_and_the_motion_of_other_trs_score_about_nothing():
    original = film()
    noise = np.random.default_rng(1).integers(0, 256, original.shape, dtype=np.uint8)
    assert abs(motion_sums(original, noise).coherence()) < 0.1
    # A quarter turn further on, so at right angles.
    assert abs(motion_sums(original, np.roll(original, 2, axis=0)).coherence()) < 0.2
    assert motion_sums(original, np.roll(original, 4, axis=0)).coherence() < -0.8


def test_most_of_what_a_cut_within_a_tr_seems_to_move_does_not_count():
    original = film(n_trs=2)
    cut = original.copy()
    cut[1, 2:] = 255 - original[0, 2:, ::-1, ::-1]
    seeming = (optical_flow(cut)[1, 2] ** 2).sum()
    (whole, with_cut) = motion_sums(cut, cut).original
    assert seeming > whole
    assert with_cut < whole + 0.3 * seeming


def test_trs_can_be_resampled():
    original = film()
    mixed = original.copy()
    mixed[4:] = mixed[4:, ::-1]
    sums = motion_sums(original, mixed)
    assert sums.coherence(np.arange(4)) == pytest.approx(1)
    assert sums.coherence(np.arange(4, 8)) < -0.8
    low, high = block_bootstrap(sums.coherence, N_TRS, 1, 200)
    assert low < sums.coherence() < high


def test_what_does_not_move_has_no_score():
    still = np.full((2, 3, 9, 16, 3), 5, np.uint8)
    sums = motion_sums(still, film(n_trs=2, n_pictures=3)[:, :, :9, :16])
    assert np.isnan(sums.coherence())
    assert np.isnan(sums.end_point_error())
    with pytest.raises(SettingsError, match="1 picture a TR: expected at least 2"):
        motion_sums(still[:, :1], still[:, :1])
