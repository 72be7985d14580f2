"""Slow modulation first: what is kept and what is taken out is known to the decibel."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.fft import dct, idct

from subtr.params import SettingsError
from subtr.training.augmentation import CurriculumParams, low_pass, rate_at, target_at

TR_S, N_FRAMES, N_TRS = 1.5, 64, 16
FRAME_HZ = N_FRAMES / TR_S
PARAMS = CurriculumParams(full_at=0.5, start_hz=1.0)


def noise(seed=0, shape=(2, N_TRS, N_FRAMES, 3)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def sinusoid(hz, phase=0.7):
    time_s = (torch.arange(N_TRS * N_FRAMES, dtype=torch.float64) + 0.5) / FRAME_HZ
    return torch.sin(2 * np.pi * hz * time_s + phase).view(1, N_TRS, N_FRAMES, 1)


def gain_db(found, original):
    """Of what is left of a sinusoid, far from the ends of the item."""
    found, original = found.flatten()[192:-192], original.flatten()[192:-192]
    return 20 * np.log10((found.norm() / original.norm()).item())


def test_the_rate_grows_by_the_same_ratio_each_epoch_up_to_nyquist():
    rates = [rate_at(epoch, 20, PARAMS, FRAME_HZ) for epoch in range(20)]
    assert rates[0] == pytest.approx(1.0)
    ratios = np.divide(rates[1:10], rates[:9])
    np.testing.assert_allclose(ratios, (FRAME_HZ / 2) ** 0.1)
    assert rates[9] < FRAME_HZ / 2
    assert rates[10:] == [np.inf] * 10


@pytest.mark.parametrize(("full_at", "first"), [(0.0, 0), (0.3, 3), (0.35, 4), (1.0, 10)])
def test_from_its_epoch_on_the_target_is_the_original(full_at, first):
    original, params = noise(), CurriculumParams(full_at=full_at)
    same = [torch.equal(target_at(original, e, 10, params, FRAME_HZ), original) for e in range(11)]
    assert same == [epoch >= first for epoch in range(11)]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), epoch=st.integers(0, 9), n_trs=st.integers(1, 5))
def test_the_mean_of_every_tr_is_kept_and_the_original_untouched(seed, epoch, n_trs):
    original = noise(seed, (2, n_trs, N_FRAMES, 3)) + 5
    before = original.clone()
    target = target_at(original, epoch, 20, PARAMS, FRAME_HZ)
    torch.testing.assert_close(target.mean(2), original.mean(2))
    assert torch.equal(original, before)


@pytest.mark.parametrize("epoch", [0, 3, 6])
def test_below_the_rate_is_kept_and_above_it_removed(epoch):
    rate_hz = rate_at(epoch, 20, PARAMS, FRAME_HZ)

    def gain_at(hz):
        original = sinusoid(hz)
        return gain_db(target_at(original, epoch, 20, PARAMS, FRAME_HZ), original)

    # Whole cycles a TR, so that no mean of a TR brings back what the filter took.
    above = [cycles / TR_S for cycles in range(1, 32) if cycles / TR_S > 2 * rate_hz]
    assert all(gain_at(hz) < -24 for hz in above)
    assert all(gain_at(hz) < -48 for hz in above if hz > 4 * rate_hz)
    assert all(abs(gain_at(rate_hz * share)) < 0.1 for share in (0.05, 0.2, 0.5))


def test_what_is_kept_is_neither_late_nor_early():
    original = sinusoid(1.0)
    kept = low_pass(original.flatten(1, 2), 4.0, FRAME_HZ)
    error = (kept - original.flatten(1, 2))[:, 192:-192]
    assert error.abs().max() < 2e-3
    values = noise().flatten(1, 2)
    there = low_pass(values, 3.0, FRAME_HZ)
    torch.testing.assert_close(low_pass(values.flip(1), 3.0, FRAME_HZ).flip(1), there)


@pytest.mark.parametrize("n_frames", [7, 64, 960])
def test_it_is_the_cosine_transform_times_the_butterworth_response(n_frames):
    values = noise(1, (2, n_frames, 3))
    hz = np.arange(n_frames) / (2 * n_frames) * FRAME_HZ
    response = 1 / np.sqrt(1 + (hz / 2.5) ** 8)
    expected = idct(dct(values.numpy(), axis=1) * response[:, None], axis=1)
    np.testing.assert_allclose(low_pass(values, 2.5, FRAME_HZ).numpy(), expected, atol=1e-12)


def test_every_pixel_of_pictures_is_a_feature():
    pictures = noise(2, (1, 4, 8, 3, 2, 5))
    as_features = target_at(pictures.flatten(3), 2, 20, PARAMS, 8 / TR_S)
    found = target_at(pictures, 2, 20, PARAMS, 8 / TR_S)
    torch.testing.assert_close(found.flatten(3), as_features)
    assert not torch.equal(found, pictures)


def test_the_target_gains_detail_epoch_by_epoch():
    original = noise(3)
    left = [
        (target_at(original, epoch, 20, PARAMS, FRAME_HZ) - original).square().mean().item()
        for epoch in range(11)
    ]
    assert all(later < earlier for earlier, later in pairwise(left))
    assert left[-1] == 0


def test_a_start_that_leaves_nothing_to_learn_is_refused():
    with pytest.raises(SettingsError, match=r"start_hz = 30: expected less than 21\.3"):
        target_at(noise(), 0, 10, CurriculumParams(start_hz=30), FRAME_HZ)
    for wrong in ({"full_at": 1.5}, {"start_hz": 0}, {"ful_at": 0.5}):
        with pytest.raises(ValidationError):
            CurriculumParams(**wrong)
