"""Copies at other speeds and pitches are what they say, and come from training time alone."""

import numpy as np
import pytest
import torch

from subtr.params import SettingsError, validate
from subtr.training.augmentation import PerturbationParams, perturbed

N_TRS, N_FRAMES, N_BANDS = 12, 8, 6
STRETCHES = [np.arange(1, 5), np.arange(7, 11)]


def ramp():
    """Each frame holds its place in time, each band its own number in the decimals."""
    time = torch.arange(N_TRS * N_FRAMES, dtype=torch.float32)[:, None]
    return (time + torch.arange(N_BANDS) / 100).reshape(N_TRS, N_FRAMES, N_BANDS)


def test_without_copies_nothing_changes():
    frames, stretches = perturbed(ramp(), STRETCHES, PerturbationParams())
    assert torch.equal(frames, ramp())
    assert [list(one) for one in stretches] == [list(one) for one in STRETCHES]


@pytest.mark.parametrize("speed", [0.5, 0.9, 1.1, 2.0])
def test_a_faster_copy_passes_through_the_same_time_faster(speed):
    frames, stretches = perturbed(ramp(), STRETCHES, PerturbationParams(speeds=(speed,)))
    assert torch.equal(frames[:N_TRS], ramp())
    assert len(stretches) == 4
    for original, copy in zip(STRETCHES, stretches[2:], strict=True):
        stream = frames[copy].flatten(0, 1)
        steps = torch.diff(stream, dim=0)
        torch.testing.assert_close(steps, torch.full_like(steps, speed), atol=1e-4, rtol=0)
        assert stream[0, 0] == original[0] * N_FRAMES
        # Nothing of it lies outside of the stretch that it copies.
        assert stream.max() < (original[-1] + 1) * N_FRAMES
        most = int((len(original) * N_FRAMES - 1) / speed) + 1
        assert most - N_FRAMES < len(stream) <= most


@pytest.mark.parametrize("shift", [-2, -1, 1, 3])
def test_a_shifted_copy_has_its_bands_moved_up(shift):
    params = PerturbationParams(band_shifts=(shift,))
    frames, stretches = perturbed(ramp(), STRETCHES[:1], params)
    copy, original = frames[stretches[1]], ramp()[STRETCHES[0]]
    for band in range(N_BANDS):
        taken = min(max(band - shift, 0), N_BANDS - 1)
        assert torch.equal(copy[..., band], original[..., taken])


def test_test_time_is_never_copied():
    planted = torch.zeros(N_TRS, N_FRAMES, N_BANDS)
    planted[[0, 5, 6, 11]] = 1
    params = PerturbationParams(speeds=(0.8, 1.2), band_shifts=(1, -1))
    frames, stretches = perturbed(planted, STRETCHES, params)
    assert all(frames[stretch].abs().max() == 0 for stretch in stretches)
    assert len(frames) > N_TRS


def test_impossible_copies_are_refused():
    with pytest.raises(SettingsError, match="band_shifts: -6: expected fewer than the 6 bands"):
        perturbed(ramp(), STRETCHES, PerturbationParams(band_shifts=(-6,)))
    with pytest.raises(SettingsError, match="speeds"):
        validate(PerturbationParams, {"speeds": [0]}, "system.yaml: perturbation")
