"""Kernels are functions of the time within a TR: the first an average, the second a change."""

import pytest
import torch

from subtr.aggregators import AGGREGATORS
from subtr.params import SettingsError


def built(dims=(3,), frames=(64,), dim=5, **options):
    torch.manual_seed(0)
    return AGGREGATORS.build("kernels", list(dims), list(frames), dim, **options)


def test_kernels_start_as_cosines_and_the_first_is_the_average():
    kernels = built(n_kernels=4, n_cosines=6).kernels(64)[0]
    torch.testing.assert_close(kernels[0], torch.full((64,), 1 / 64))
    gram = kernels @ kernels.T * 64
    torch.testing.assert_close(
        gram, torch.diag(torch.tensor([1.0, 0.5, 0.5, 0.5])), atol=1e-5, rtol=0
    )


def test_even_kernels_stay_and_odd_ones_change_sign_under_reversal():
    kernels = built(n_kernels=4).kernels(64)[0]
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0])[:, None]
    torch.testing.assert_close(kernels.flip(1), signs * kernels, atol=1e-6, rtol=1e-4)


def test_with_the_first_kernel_alone_it_is_the_mean():
    made = built((3, 2), (64, 16), n_kernels=1)
    mean = AGGREGATORS.build("mean", [3, 2], [64, 16], 5)
    mean.map.load_state_dict(made.map.state_dict())
    given = [torch.randn(2, 64, 3), torch.randn(2, 16, 2)]
    torch.testing.assert_close(made(given), mean(given))


def test_rise_and_fall_differ_in_sign_alone():
    rise = torch.linspace(-1, 1, 64)[None, :, None]
    second = built((1,), n_kernels=2).kernels(64)[0, 1]
    up, down = second @ rise[0, :, 0], second @ rise.flip(1)[0, :, 0]
    torch.testing.assert_close(up, -down)
    # The integral of cos(pi x) (2 x - 1) over 0..1.
    torch.testing.assert_close(up, torch.tensor(-4 / torch.pi**2), atol=1e-2, rtol=0)


def test_a_smooth_signal_gives_the_same_at_double_the_frame_rate():
    made = built()
    torch.nn.init.normal_(made.weights)

    def signal(n_frames):
        time_tr = (torch.arange(n_frames) + 0.5) / n_frames
        waves = [torch.sin(2 * time_tr + 1), torch.cos(5 * time_tr), time_tr**2]
        return torch.stack(waves, dim=-1)[None]

    torch.testing.assert_close(made([signal(128)]), made([signal(64)]), atol=5e-3, rtol=0)


def test_more_kernels_than_cosines_are_refused():
    with pytest.raises(SettingsError, match="n_kernels = 9: expected at most n_cosines, 8"):
        built(n_kernels=9, n_cosines=8)
