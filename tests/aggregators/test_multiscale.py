"""Coarse is the average of the TR, fine are averages of its equal parts."""

import pytest
import torch
import torch.nn.functional as F

from subtr.aggregators import AGGREGATORS
from subtr.aggregators.pooling import bin_averages
from subtr.params import SettingsError


def test_bins_are_averages_of_their_own_frames_in_order():
    made = AGGREGATORS.build("multiscale", [3], [16], 2, bins=[1, 4])
    level = torch.randn(2, 16, 3)
    found = made.averages([level])[0]
    torch.testing.assert_close(found[:, 0], level.mean(1))
    for index in range(4):
        part = level[:, 4 * index : 4 * index + 4]
        torch.testing.assert_close(found[:, 1 + index], part.mean(1))
    torch.testing.assert_close(
        found[:, 1:], F.adaptive_avg_pool1d(level.transpose(1, 2), 4).transpose(1, 2)
    )


@pytest.mark.parametrize("n_frames", [1, 5, 12, 64])
@pytest.mark.parametrize("n_bins", [1, 3, 8])
def test_all_frames_count_alike_in_all_bins_however_they_divide(n_bins, n_frames):
    share = bin_averages([n_bins], n_frames)
    torch.testing.assert_close(share.sum(1), torch.ones(n_bins))
    torch.testing.assert_close(share.mean(0), torch.full((n_frames,), 1 / n_frames))


def test_what_is_held_for_several_frames_gives_the_same_at_any_frame_rate():
    made = AGGREGATORS.build("multiscale", [3], [20], 2, bins=[1, 3, 8])
    level = torch.randn(2, 20, 3)
    torch.testing.assert_close(made([level.repeat_interleave(3, dim=1)]), made([level]))


def test_a_bin_alone_is_the_mean_aggregator():
    one = AGGREGATORS.build("multiscale", [6, 4], [24, 12], 5, bins=[1])
    mean = AGGREGATORS.build("mean", [6, 4], [24, 12], 5)
    mean.load_state_dict(one.state_dict())
    given = [torch.randn(2, 24, 6), torch.randn(2, 12, 4)]
    torch.testing.assert_close(one(given), mean(given))


def test_rise_and_fall_differ_in_the_fine_bins_alone():
    rise = torch.linspace(-1, 1, 64)[None, :, None]
    made = AGGREGATORS.build("multiscale", [1], [64], 2, bins=[1, 2, 4])
    coarse, *fine = (made.averages([rise])[0] - made.averages([rise.flip(1)])[0])[0, :, 0]
    assert abs(coarse) < 1e-6
    torch.testing.assert_close(fine[0], -fine[1])
    assert fine[0] < -0.9


def test_a_short_level_is_cut_into_its_frames_once():
    made = AGGREGATORS.build("multiscale", [3, 2], [16, 4], 5)
    assert made.level_bins == [[1, 2, 4, 8, 16], [1, 2, 4]]
    level = torch.randn(2, 4, 2)
    torch.testing.assert_close(made.averages([torch.randn(2, 16, 3), level])[1][:, 3:], level)


@pytest.mark.parametrize("bins", [[], [0], [2.5]])
def test_impossible_bins_are_refused(bins):
    with pytest.raises(SettingsError, match="bins"):
        AGGREGATORS.build("multiscale", [3], [16], 2, bins=bins)
