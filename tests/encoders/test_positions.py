"""The code of a moment depends on the moment, not on the number of frames or the TR."""

import math

import numpy as np
import pytest
import torch

from subtr.encoders.positions import POSITIONS
from subtr.params import SettingsError

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


@pytest.mark.parametrize("name", ["sinusoidal", "time_aware", "time2vec", "tape"])
def test_the_same_second_has_the_same_code_at_any_tr_and_frame_rate(name):
    options = {"length_s": 2.0} if name == "tape" else {}
    position = POSITIONS.build(name, **options)
    for parameter in position.parameters():  # as if training had moved them
        torch.nn.init.normal_(parameter)
    # 0.375 s is the middle of frame 1 of 6 in 1.5 s, and of frame 1 of 8 in 2 s.
    one = position.channels(middles_s(6, 1.5), 1.5)[1]
    torch.testing.assert_close(one, position.channels(middles_s(8, 2.0), 2.0)[1])
    torch.testing.assert_close(one, position.channels(torch.tensor([0.375]), 1.0)[0])


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


def test_learned_frequencies_start_as_the_given_ones_and_stay_positive():
    times_s = middles_s(64, 1.5)
    torch.testing.assert_close(coded("time_aware", times_s, 1.5), coded("sinusoidal", times_s, 1.5))
    position = POSITIONS.build("time_aware")
    torch.nn.init.normal_(position.log_periods_s, std=10.0)
    assert position.periods_s.min() > 0


def test_a_learned_frequency_finds_the_rhythm_of_what_it_sees():
    """A 3 Hz wave, approached from 2.75 Hz, near enough for a TR to lead there."""
    position = POSITIONS.build("time_aware", n_periods=1, shortest_s=1 / 2.75, longest_s=8.0)
    times_s = middles_s(64, 1.5)
    wave = torch.sin(2 * math.pi * 3 * times_s + 1)
    map_ = torch.nn.Linear(2, 1)
    torch.nn.init.zeros_(map_.weight)  # a wrong phase would first push the frequency away
    optimiser = torch.optim.Adam([*position.parameters(), *map_.parameters()], lr=0.02)
    for _ in range(300):
        optimiser.zero_grad()
        (map_(position.channels(times_s, 1.5))[:, 0] - wave).square().mean().backward()
        optimiser.step()
    assert 1 / position.periods_s.item() == pytest.approx(3, abs=0.02)


def test_time2vec_is_the_equation_of_its_paper():
    position = POSITIONS.build("time2vec", n_periods=3)
    for parameter in position.parameters():
        torch.nn.init.normal_(parameter)
    rates, phases = position.rates.tolist(), position.phases.tolist()
    code = position.channels(torch.tensor([0.7]), 1.5)[0].tolist()
    assert code[0] == pytest.approx(rates[0] * 0.7 + phases[0], abs=1e-5)
    for index in (1, 2, 3):
        assert code[index] == pytest.approx(math.sin(rates[index] * 0.7 + phases[index]), abs=1e-5)


@pytest.mark.parametrize(("n_frames", "n_channels"), [(64, 32), (16, 16), (9, 4)])
def test_tape_is_the_equation_of_its_paper(n_frames, n_channels):
    code = coded("tape", middles_s(n_frames, 1.5), 1.5, n_channels=n_channels)[:, IN_DIM:]
    for frame in range(n_frames):
        for k in range(n_channels // 2):
            rate = 10000 ** (-2 * k / n_channels) * n_channels / n_frames
            angle = (frame + 0.5) * rate  # the middle of the frame, where the paper counts borders
            assert code[frame, k].item() == pytest.approx(math.sin(angle), abs=1e-4)
            assert code[frame, n_channels // 2 + k].item() == pytest.approx(
                math.cos(angle), abs=1e-4
            )


def test_tape_gives_the_same_share_of_a_tr_the_same_code():
    one = coded("tape", middles_s(6, 1.5), 1.5)
    torch.testing.assert_close(one, coded("tape", middles_s(6, 2.0), 2.0))
    # 5 / 12 of the TR is the middle of frame 2 of 6 and of frame 7 of 18.
    torch.testing.assert_close(one[2], coded("tape", middles_s(18, 1.0), 1.0)[7])


@pytest.mark.parametrize("name", ["time_aware", "time2vec"])
def test_training_reaches_every_number_of_a_learned_encoding(name):
    torch.manual_seed(0)
    position = POSITIONS.build(name)
    code = position(torch.zeros(2, 8, IN_DIM), middles_s(8, 1.5), 1.5)
    (code * torch.randn_like(code)).sum().backward()
    for parameter in position.parameters():
        assert parameter.grad.abs().min() > 0


@pytest.mark.parametrize("name", sorted(set(POSITIONS.parts) - {"none", "erpe"}))
def test_no_two_frames_of_a_tr_share_a_code(name):
    code = coded(name, middles_s(64, 1.5), 1.5)
    apart = torch.cdist(code, code) + torch.eye(64)
    assert apart.min() > 1e-3


def test_impossible_periods_are_refused():
    with pytest.raises(SettingsError, match="shortest_s = 0"):
        POSITIONS.build("sinusoidal", shortest_s=0)


@pytest.mark.parametrize("name", ["sinusoidal", "time_aware", "time2vec"])
@pytest.mark.parametrize("shortest_s", [8.0, 9.0])
def test_periods_in_the_wrong_order_are_refused(name, shortest_s):
    with pytest.raises(SettingsError, match=r"shortest_s = .*: expected less than longest_s, 8.0"):
        POSITIONS.build(name, shortest_s=shortest_s, longest_s=8.0)


def test_an_odd_number_of_tape_channels_is_refused():
    with pytest.raises(SettingsError, match="n_channels = 7"):
        POSITIONS.build("tape", n_channels=7)
