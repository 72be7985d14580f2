import librosa
import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from subtr.stimulus.mel import LOG_FLOOR, MelSettings, log_mel_of_media, log_mel_of_sound
from subtr.timeline import Clock

RATE = 16000


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal(RATE * 12)).astype(np.float32)


def test_equals_librosa_where_hops_are_whole(noise):
    # librosa's frame j is centred on j hops; the clock's on half a frame later.
    hop, n_trs, frames = 320, 10, 50
    clock = Clock(tr_s=1.0, n_trs=n_trs, onset_s=-hop / RATE / 2, frames_per_tr=frames)
    ours = log_mel_of_sound(noise, RATE, clock).reshape(-1, 128)
    theirs = librosa.feature.melspectrogram(
        y=noise, sr=RATE, n_fft=1024, hop_length=hop, n_mels=128, fmax=8000, power=1.0
    )
    theirs = np.log(np.maximum(theirs, LOG_FLOOR)).T[: n_trs * frames]
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_unaligned_frames_sit_where_the_clock_says(noise):
    clock = Clock(tr_s=1.49, n_trs=7, frames_per_tr=63)
    settings = MelSettings(n_mels=20, window_samples=512)
    ours = log_mel_of_sound(noise, RATE, clock, settings)
    centre = clock.sample_of_frames(float(RATE))[6, 60]
    window = noise[centre - 256 : centre + 256] * np.hanning(513)[:-1]
    filters = librosa.filters.mel(sr=RATE, n_fft=512, n_mels=20, fmin=0, fmax=8000)
    expected = np.log(filters @ np.sqrt(np.abs(np.fft.rfft(window)) ** 2 + 1e-9))
    np.testing.assert_allclose(ours[6, 60], expected, atol=1e-4)


@pytest.mark.parametrize("tone_hz", [220.0, 1000.0, 5000.0])
def test_a_tone_lights_its_own_band(tone_hz):
    sound = 0.5 * np.sin(2 * np.pi * tone_hz * np.arange(3 * RATE) / RATE)
    log_mel = log_mel_of_sound(sound, RATE, Clock(tr_s=1.5, n_trs=2))
    centres_hz = librosa.mel_frequencies(130, fmin=0, fmax=8000)[1:-1]
    loudest = log_mel[:, 4:-4].reshape(-1, 128).argmax(axis=1)
    assert np.abs(loudest - np.abs(centres_hz - tone_hz).argmin()).max() <= 1


def test_a_click_peaks_in_its_frame():
    clock = Clock(tr_s=1.5, n_trs=6, onset_s=0.25)
    sound = np.zeros(10 * RATE, np.float32)
    click_s = 6.123
    sound[round(click_s * RATE)] = 1.0
    power = log_mel_of_sound(sound, RATE, clock).sum(axis=-1)
    assert divmod(int(power.argmax()), 64) == clock.frame_of(click_s)


def test_silence_outside_of_the_sound_is_the_floor(noise):
    clock = Clock(tr_s=1.0, n_trs=20, onset_s=-4.0)
    log_mel = log_mel_of_sound(noise, RATE, clock, MelSettings(n_mels=8))
    assert log_mel[:3].max() == log_mel[17:].max() == log_mel.min()
    assert log_mel[5:15].min() > log_mel.min() + 1


@pytest.mark.parametrize("tr_s", [1.0, 1.49, 2.0])
def test_media_path_equals_sound_path(noise, tmp_path, tr_s):
    soundfile.write(tmp_path / "noise.wav", noise, RATE, subtype="FLOAT")
    clock = Clock.covering(12.0, tr_s)
    np.testing.assert_array_equal(
        log_mel_of_media(tmp_path / "noise.wav", clock), log_mel_of_sound(noise, RATE, clock)
    )


def test_media_path_equals_sound_path_at_another_rate(noise, tmp_path):
    soundfile.write(tmp_path / "noise.wav", noise, 22050, subtype="FLOAT")
    clock = Clock.covering(len(noise) / 22050, 1.5)
    np.testing.assert_allclose(
        log_mel_of_media(tmp_path / "noise.wav", clock),
        log_mel_of_sound(noise, 22050, clock),
        atol=1e-3,
    )


def test_bands_above_half_the_rate_are_refused():
    with pytest.raises(ValidationError, match="at most half of rate_hz = 8000"):
        MelSettings(rate_hz=8000)
