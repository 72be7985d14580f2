import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subtr.params import SettingsError
from subtr.timeline import Clock

clocks = st.builds(
    Clock,
    tr_s=st.integers(100, 20_000).map(lambda ms: ms / 1000),
    n_trs=st.integers(1, 3000),
    onset_s=st.integers(-60_000, 60_000).map(lambda ms: ms / 1000),
    frames_per_tr=st.integers(1, 128),
)


def exact_centre_s(clock: Clock, tr: int, frame: int) -> Fraction:
    """A frame's centre in exact arithmetic, from the values that floats stand for."""
    tr_s, onset_s = (Fraction(x).limit_denominator(1000) for x in (clock.tr_s, clock.onset_s))
    return onset_s + (tr + Fraction(2 * frame + 1, 2 * clock.frames_per_tr)) * tr_s


@given(clocks, st.data())
def test_no_drift(clock, data):
    tr = data.draw(st.integers(0, clock.n_trs - 1))
    frame = data.draw(st.integers(0, clock.frames_per_tr - 1))
    assert clock.frame_times_s()[tr, frame] == pytest.approx(
        float(exact_centre_s(clock, tr, frame)), abs=1e-9
    )


@given(clocks, st.data())
def test_frame_of_inverts_frame_times(clock, data):
    tr = data.draw(st.integers(0, clock.n_trs - 1))
    frame = data.draw(st.integers(0, clock.frames_per_tr - 1))
    assert clock.frame_of(float(clock.frame_times_s()[tr, frame])) == (tr, frame)


@given(clocks, st.data())
def test_a_boundary_opens_the_next_frame(clock, data):
    tr = data.draw(st.integers(0, clock.n_trs - 1))
    frame = data.draw(st.integers(0, clock.frames_per_tr - 1))
    begins = exact_centre_s(clock, tr, frame) - Fraction(clock.tr_s).limit_denominator(1000) / (
        2 * clock.frames_per_tr
    )
    assert clock.frame_of(float(begins)) == (tr, frame)
    if (tr, frame) != (0, 0):
        before = divmod(tr * clock.frames_per_tr + frame - 1, clock.frames_per_tr)
        assert clock.frame_of(float(begins) - 1e-6) == before


@given(clocks, st.sampled_from([8000.0, 16000.0, 22050.0, 44100.0, 48000.0]), st.data())
def test_samples_are_the_nearest(clock, rate_hz, data):
    tr = data.draw(st.integers(0, clock.n_trs - 1))
    frame = data.draw(st.integers(0, clock.frames_per_tr - 1))
    sample = int(clock.sample_of_frames(rate_hz)[tr, frame])
    distance = abs(sample - exact_centre_s(clock, tr, frame) * Fraction(rate_hz))
    assert distance <= Fraction(1, 2) + Fraction(1, 10_000)


@given(clocks)
def test_hops_differ_by_one_sample_at_most(clock):
    hops = np.diff(clock.sample_of_frames(16000.0).ravel())
    if len(hops):
        exact_hop = 16000 * clock.frame_s
        assert hops.min() >= math.floor(exact_hop - 1e-6)
        assert hops.max() <= math.ceil(exact_hop + 1e-6)


@given(clocks, st.integers(1, 200))
def test_other_frames_leave_the_volumes_alone(clock, frames):
    other = clock.with_frames(frames)
    assert other.frames_per_tr == frames
    np.testing.assert_array_equal(other.tr_times_s(), clock.tr_times_s())
    np.testing.assert_allclose(
        other.frame_times_s().mean(axis=1), clock.frame_times_s().mean(axis=1), atol=1e-9
    )


@pytest.mark.parametrize("outside_s", [9.9, 40.0, -1.0])
def test_a_time_outside_of_the_volumes_is_refused(outside_s):
    clock = Clock(tr_s=1.5, n_trs=20, onset_s=10.0)
    with pytest.raises(SettingsError, match=r"outside of the volumes \(10 to 40 s\)"):
        clock.frame_of(outside_s)


def test_covering_takes_whole_trs():
    assert Clock.covering(15.0, 1.5).n_trs == 10
    assert Clock.covering(14.9999999, 1.5).n_trs == 10
    assert Clock.covering(14.9, 1.5).n_trs == 9
    with pytest.raises(SettingsError, match="less than one TR"):
        Clock.covering(1.0, 1.5)


def test_a_tr_in_milliseconds_is_refused_with_the_right_value():
    with pytest.raises(SettingsError, match=r"Did you mean 1\.5 s"):
        Clock(tr_s=1500.0, n_trs=10)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tr_s", 0.0),
        ("tr_s", -1.5),
        ("tr_s", math.nan),
        ("n_trs", 0),
        ("frames_per_tr", 0),
        ("onset_s", math.inf),
    ],
)
def test_impossible_values_are_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=name):
        Clock(**{"tr_s": 1.5, "n_trs": 10, name: value})
