import numpy as np
import pytest

from subtr.models.linear import mean_mel, onset_flux, sound_power


def test_mean_mel_is_the_mean_over_frames():
    log_mel = np.random.default_rng(0).normal(size=(4, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(mean_mel(log_mel)[2, 1], log_mel[2, :, 1].mean(), rtol=1e-6)


def test_sound_power_is_linear_in_amplitude_and_adds_over_bands_as_energy():
    log_mel = np.log(np.full((2, 8, 4), 3.0))
    log_mel[1] += np.log(10.0)
    np.testing.assert_allclose(sound_power(log_mel)[:, 0], [6.0, 60.0])


def test_onset_flux_counts_onsets_and_not_level_or_offsets():
    n_trs, n_frames = 4, 64
    amplitude = np.full((n_trs * n_frames, 5), 1e-5)
    amplitude[: n_frames // 2] = 1e-5
    for tr, n_onsets in enumerate([0, 1, 2, 4]):
        for onset in range(n_onsets):
            start = tr * n_frames + 2 + onset * 14
            amplitude[start : start + 7] = 1.0
    flux = onset_flux(np.log(amplitude).reshape(n_trs, n_frames, 5))[:, 0]
    np.testing.assert_allclose(flux / flux[1], [0.0, 1.0, 2.0, 4.0], atol=1e-9)
    steady = onset_flux(np.zeros((3, 8, 2)))
    np.testing.assert_array_equal(steady, 0.0)


def test_a_rise_across_the_tr_border_belongs_to_the_later_tr():
    log_mel = np.stack([np.full((8, 2), -9.0), np.full((8, 2), 0.0)])
    flux = onset_flux(log_mel)[:, 0]
    assert flux[0] == 0.0
    assert flux[1] == pytest.approx(1 - np.exp(-3.0))
