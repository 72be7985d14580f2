import numpy as np
import pytest

from subtr.metrics.temporal import averaging_gain, modulation_spectrum, modulation_transfer
from subtr.models.linear import lanczos_rival, mean_rival, nearest_rival
from subtr.params import SettingsError
from subtr.timeline import Clock

CLOCK = Clock(tr_s=1.5, n_trs=40)


def test_identity_has_gain_one_everywhere():
    transfer = modulation_transfer(lambda windows: windows, CLOCK, [0.3, 2.0, 5.5, 16.0])
    np.testing.assert_allclose(transfer.gain, 1.0)
    np.testing.assert_allclose(transfer.faithful_gain, 1.0)


def test_averaging_has_the_gain_of_the_sampled_sinc():
    rates_hz = np.array([0.1, 0.5, 1.0, 2.0, 3.0, 4.0, 5.1, 8.0])
    transfer = modulation_transfer(mean_rival, CLOCK, rates_hz)
    np.testing.assert_allclose(transfer.gain, averaging_gain(rates_hz, 1.5, 64), atol=1e-6)
    # Held for the TR, what comes back in phase is weaker by the same factor once more. At half a
    # cycle a TR and its odd multiples, aliases fall on the driven rate for single phases only.
    np.testing.assert_allclose(transfer.faithful_gain, transfer.gain**2, atol=1e-6)


def test_a_mean_of_1500_ms_is_deaf_to_speech_rhythms():
    transfer = modulation_transfer(mean_rival, CLOCK, [2, 3, 4, 8])
    np.testing.assert_allclose(transfer.gain[[0, 2, 3]], 0.0, atol=1e-6)
    assert transfer.gain_db[1] == pytest.approx(-22.9, abs=0.05)


def test_nearest_frame_answers_in_full_but_not_faithfully():
    transfer = modulation_transfer(nearest_rival, CLOCK, [3.0])
    assert transfer.gain[0] == pytest.approx(1.0, abs=1e-5)
    assert abs(transfer.faithful_gain[0]) < 0.1


def test_lanczos_passes_slow_and_stops_fast_modulation():
    long = Clock(tr_s=1.5, n_trs=120)
    transfer = modulation_transfer(lanczos_rival, long, [0.05, 2.0, 4.0])
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
        modulation_transfer(mean_rival, CLOCK, [30.0])


def test_modulation_spectrum_finds_rate_and_amplitude():
    times_s = np.arange(4000) / 40.0
    frames = 0.7 * np.cos(2 * np.pi * 4.0 * times_s)[:, None] + np.array([3.0, -2.0])
    rates_hz, amplitude = modulation_spectrum(frames, 40.0, window_s=10.0)
    assert rates_hz[amplitude.argmax()] == pytest.approx(4.0)
    assert amplitude.max() == pytest.approx(0.7, rel=1e-3)
