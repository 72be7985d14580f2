"""The code of a moment depends on the moment, not on the number of frames or the TR."""

import numpy as np
import pytest
import torch

from subtr.errors import SettingsError
from subtr.positions import POSITIONS

IN_DIM = 3


def coded(name, times_s, tr_s, **options):
    """The channels that a position adds to zeros."""
    position = POSITIONS.build(name, **options)
    times_s = torch.as_tensor(times_s, dtype=torch.float32)
    frames = torch.zeros(2, len(times_s), IN_DIM)
    out = position(frames, times_s, tr_s)
    assert out.shape == (2, len(times_s), position.out_dim(IN_DIM))
    torch.testing.assert_close(out[0], out[1])
    return out[0].detach()


def middles_s(n_frames, tr_s):
    return (torch.arange(n_frames) + 0.5) / n_frames * tr_s


@pytest.mark.parametrize("name", sorted(POSITIONS.parts))
@pytest.mark.parametrize("tr_s", [1.0, 1.49, 2.0])
@pytest.mark.parametrize("n_frames", [1, 7, 64])
def test_every_encoding_takes_any_length_and_tr(name, n_frames, tr_s):
    code = coded(name, middles_s(n_frames, tr_s), tr_s)
    assert code.isfinite().all()


@pytest.mark.parametrize("name", sorted(POSITIONS.parts))
def test_the_frames_themselves_stay_as_they_are(name):
    position = POSITIONS.build(name)
    frames = torch.randn(2, 8, IN_DIM)
    out = position(frames, middles_s(8, 1.5), 1.5)
    torch.testing.assert_close(out[..., :IN_DIM], frames)


def test_the_same_second_has_the_same_sinusoidal_code_at_any_tr_and_frame_rate():
    # 0.375 s is the middle of frame 1 of 6 in 1.5 s, and of frame 1 of 8 in 2 s.
    one = coded("sinusoidal", middles_s(6, 1.5), 1.5)[1]
    other = coded("sinusoidal", middles_s(8, 2.0), 2.0)[1]
    torch.testing.assert_close(one, other)
    whole = coded("sinusoidal", [0.375], 1.0)[0]
    torch.testing.assert_close(one, whole)


def test_sinusoidal_periods_are_the_seconds_asked_for():
    options = {"n_periods": 3, "shortest_s": 0.1, "longest_s": 10.0}
    times_s = torch.linspace(0, 1, 33)
    code = coded("sinusoidal", times_s, 1.5, **options)[:, IN_DIM:].numpy()
    for index, period_s in enumerate([0.1, 1.0, 10.0]):
        angle = 2 * np.pi * times_s.numpy() / period_s
        np.testing.assert_allclose(code[:, index], np.sin(angle), atol=1e-4)
        np.testing.assert_allclose(code[:, 3 + index], np.cos(angle), atol=1e-4)


def test_elapsed_time_gives_seconds_and_fraction_of_the_tr():
    code = coded("elapsed", [0.0, 0.5, 1.0], 2.0)[:, IN_DIM:]
    expected = [[0.0, 0, 0, 1], [0.5, 0.25, 1, 0], [1.0, 0.5, 0, -1]]
    torch.testing.assert_close(code, torch.tensor(expected), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(POSITIONS.parts) - {"none"}))
def test_no_two_frames_of_a_tr_share_a_code(name):
    code = coded(name, middles_s(64, 1.5), 1.5)
    apart = torch.cdist(code, code) + torch.eye(64)
    assert apart.min() > 1e-3


def test_impossible_periods_are_refused():
    with pytest.raises(SettingsError, match="shortest_s = 0"):
        POSITIONS.build("sinusoidal", shortest_s=0)
