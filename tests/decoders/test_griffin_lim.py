import numpy as np
import pytest
from scipy.signal import lfilter

from subtr.decoders.griffin_lim import GriffinLim
from subtr.params import SettingsError
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.timeline import Clock

RATE = 16000


@pytest.fixture(scope="module")
def speech_like() -> np.ndarray:
    """A buzzing voice of gliding pitch, three formants and four syllables a second."""
    time_s = np.arange(6 * RATE) / RATE
    pitch_hz = 130 + 30 * np.sin(2 * np.pi * 0.7 * time_s)
    phase = np.cumsum(pitch_hz) / RATE
    voice = np.diff(np.floor(phase), prepend=0.0)
    voice += 0.02 * np.random.default_rng(0).standard_normal(len(voice))
    for formant_hz, width_hz in ((600, 80), (1400, 120), (2600, 160)):
        radius = np.exp(-np.pi * width_hz / RATE)
        pole = -2 * radius * np.cos(2 * np.pi * formant_hz / RATE)
        voice = lfilter([1 - radius], [1, pole, radius**2], voice)
    voice *= np.clip(np.sin(2 * np.pi * 4 * time_s), 0.02, None)
    return (0.5 * voice / np.abs(voice).max()).astype(np.float32)


@pytest.mark.parametrize(
    ("tr_s", "frames"),
    [(1.5, 64), (1.49, 64), (2.0, 50), (1.5, 24)],
    ids=["whole hop", "broken hop", "whole hop, TR 2", "hop longer than a quarter window"],
)
def test_round_trip_keeps_the_spectrogram(speech_like, tr_s, frames):
    clock = Clock.covering(6.0, tr_s, frames_per_tr=frames)
    log_mel = log_mel_of_sound(speech_like, RATE, clock)
    sound = griffin_lim(n_iter=16)(log_mel, clock)
    assert len(sound) == round(clock.n_trs * tr_s * RATE)
    again = log_mel_of_sound(sound, RATE, clock)
    assert np.corrcoef(log_mel.ravel(), again.ravel())[0, 1] > 0.9


def test_a_syllable_returns_at_its_second():
    clock = Clock(tr_s=1.49, n_trs=4)
    sound = np.zeros(6 * RATE, np.float32)
    start = round(4.321 * RATE)
    sound[start : start + 1600] = 0.5 * np.sin(2 * np.pi * 700 * np.arange(1600) / RATE)
    returned = griffin_lim(n_iter=16)(log_mel_of_sound(sound, RATE, clock), clock)
    power = returned.astype(np.float64) ** 2
    centre_s = np.average(np.arange(len(power)), weights=power) / RATE
    assert centre_s == pytest.approx(4.371, abs=0.005)


def test_seed_decides(speech_like):
    clock = Clock(tr_s=1.5, n_trs=1)
    log_mel = log_mel_of_sound(speech_like, RATE, clock)
    first, second, other = (griffin_lim(n_iter=4, seed=s)(log_mel, clock) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_what_does_not_fit_is_refused():
    clock = Clock(tr_s=1.5, n_trs=1)
    with pytest.raises(SettingsError, match="32 frames per TR, the clock 64"):
        griffin_lim()(np.zeros((1, 32, 128), np.float32), clock)
    with pytest.raises(SettingsError, match="80 bands, the settings 128"):
        griffin_lim()(np.zeros((1, 64, 80), np.float32), clock)
    with pytest.raises(SettingsError, match="NaN"):
        griffin_lim()(np.full((1, 64, 128), np.nan, np.float32), clock)


def test_a_long_sound_is_the_same_however_it_arrives_and_has_no_seams(speech_like, monkeypatch):
    clock = Clock(tr_s=1.5, n_trs=4)
    log_mel = log_mel_of_sound(speech_like, RATE, clock)
    monkeypatch.setattr(GriffinLim, "block_hops", 60)
    vocoder = griffin_lim(n_iter=16)
    whole = vocoder(log_mel, clock)
    pieces = list(vocoder.stream([log_mel[:1], log_mel[1:3], log_mel[3:]], clock))
    assert len(pieces) > 3
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-6)
    again = log_mel_of_sound(whole, RATE, clock).reshape(-1, 128)
    error = np.abs(again - log_mel.reshape(-1, 128)).mean(1)
    # Blocks meet at hop 60 and 120 and so on; a hop is 250 samples here, a frame 375.
    seams = np.arange(60 * 250, len(whole) - 5000, 60 * 250) // 375
    beside = np.concatenate([seams - 1, seams, seams + 1])
    assert error[beside].mean() < 1.28 * np.delete(error, beside).mean()


def test_a_stream_of_the_wrong_length_is_refused(speech_like):
    clock = Clock(tr_s=1.5, n_trs=4)
    log_mel = log_mel_of_sound(speech_like, RATE, clock)
    with pytest.raises(SettingsError, match="has 3 TRs, the clock 4"):
        list(griffin_lim(n_iter=1).stream([log_mel[:3]], clock))


def griffin_lim(**options) -> GriffinLim:
    return GriffinLim(MelSettings(), **options)
