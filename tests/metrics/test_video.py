"""Flows and films whose agreement is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter, map_coordinates

from subtr.metrics.inference import block_bootstrap
from subtr.metrics.temporal import flow_sums, motion_sums
from subtr.params import SettingsError
from subtr.stimulus.flow import optical_flow

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
