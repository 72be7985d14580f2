import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

from subtr.clock import Clock
from subtr.decoders.vocoder import SoundError, mel_to_sound, write_sound
from subtr.errors import SettingsError
from subtr.stimulus.mel import log_mel_of_sound

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
    sound = mel_to_sound(log_mel, clock, n_iter=16)
    assert len(sound) == round(clock.n_trs * tr_s * RATE)
    again = log_mel_of_sound(sound, RATE, clock)
    assert np.corrcoef(log_mel.ravel(), again.ravel())[0, 1] > 0.9


def test_a_syllable_returns_at_its_second():
    clock = Clock(tr_s=1.49, n_trs=4)
    sound = np.zeros(6 * RATE, np.float32)
    start = round(4.321 * RATE)
    sound[start : start + 1600] = 0.5 * np.sin(2 * np.pi * 700 * np.arange(1600) / RATE)
    returned = mel_to_sound(log_mel_of_sound(sound, RATE, clock), clock, n_iter=16)
    power = returned.astype(np.float64) ** 2
    centre_s = np.average(np.arange(len(power)), weights=power) / RATE
    assert centre_s == pytest.approx(4.371, abs=0.005)


def test_seed_decides(speech_like):
    clock = Clock(tr_s=1.5, n_trs=1)
    log_mel = log_mel_of_sound(speech_like, RATE, clock)
    first, second, other = (mel_to_sound(log_mel, clock, n_iter=4, seed=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_what_does_not_fit_is_refused():
    clock = Clock(tr_s=1.5, n_trs=1)
    with pytest.raises(SettingsError, match="32 frames per TR, the clock 64"):
        mel_to_sound(np.zeros((1, 32, 128), np.float32), clock)
    with pytest.raises(SettingsError, match="80 bands, the settings 128"):
        mel_to_sound(np.zeros((1, 64, 80), np.float32), clock)
    with pytest.raises(SettingsError, match="NaN"):
        mel_to_sound(np.full((1, 64, 128), np.nan, np.float32), clock)


def test_written_sound_reads_back(tmp_path, speech_like):
    read, rate_hz = soundfile.read(write_sound(tmp_path / "a.wav", speech_like, RATE))
    assert rate_hz == RATE
    np.testing.assert_allclose(read, speech_like, atol=2 / 32768)
    with pytest.raises(SoundError, match=r"missing.a\.wav cannot be written"):
        write_sound(tmp_path / "missing" / "a.wav", speech_like, RATE)
    with pytest.raises(SoundError, match=r"Expected a \.wav"):
        write_sound(tmp_path / "a.xyz", speech_like, RATE)
