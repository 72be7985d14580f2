"""Log-mel: against librosa, clicks in their frames, and blocks of TRs like the whole."""

import tracemalloc

import librosa
import numpy as np
import pytest
import soundfile
from media_files import grey
from pydantic import ValidationError

from subtr.stimulus.media import iter_resampled, resample, sound_spans
from subtr.stimulus.mel import (
    LOG_FLOOR,
    MelSettings,
    iter_log_mel,
    log_mel_of_media,
    log_mel_of_sound,
)
from subtr.stimulus.pictures import PictureSettings, iter_picture_trs, pictures_of_media, write_film
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


# Clicks at known seconds of a long recording fall into the frames of those seconds.


# So long that a hop which is wrong by half a sample would end frames away.
LENGTH_S = 1210
CLICKS_S = (5, 1205)
# Shorter than a frame at any TR here, so that it begins and ends in the same frame.
CLICK_S = 0.004


@pytest.fixture(scope="module", params=[16_000, 22_050, 44_100, 48_000])
def rate_hz(request):
    return request.param


@pytest.fixture(scope="module")
def sounds(rate_hz, tmp_path_factory):
    """Silence with two clicks, second by second: FLAC, and WAV at 16 kHz."""
    folder = tmp_path_factory.mktemp(f"clicks{rate_hz}")
    files = [folder / "clicks.flac"] + [folder / "clicks.wav"] * (rate_hz == 16_000)
    silence = np.zeros(rate_hz, np.int16)
    click = silence.copy()
    n_samples = round(CLICK_S * rate_hz)
    click[:n_samples] = np.random.default_rng(0).integers(-30_000, 30_000, n_samples)
    for file in files:
        with soundfile.SoundFile(file, "w", rate_hz, 1, "PCM_16") as sound:
            for second in range(LENGTH_S):
                sound.write(click if second in CLICKS_S else silence)
    yield files
    for file in files:
        file.unlink()


@pytest.mark.parametrize("tr_s", [1.0, 1.49, 1.5, 2.0])
def test_clicks_fall_into_their_frames_and_nowhere_else(sounds, tr_s):
    clock = Clock.covering(float(LENGTH_S), tr_s)
    n_frames = clock.frames_per_tr
    # Two frames long: every sample is heard, by no frame but its own and the next on either side.
    settings = MelSettings(n_mels=8, window_samples=2 * round(clock.frame_s * 16_000))
    wanted = [tr * n_frames + frame for tr, frame in map(clock.frame_of, map(float, CLICKS_S))]
    for file in sounds:
        level = np.asarray(log_mel_of_media(file, clock, settings)).mean(axis=2).ravel()
        near = [slice(frame - 2 * n_frames, frame + 2 * n_frames) for frame in wanted]
        found = [of.start + int(level[of].argmax()) for of in near]
        assert found == wanted
        loud = np.flatnonzero(level > level.min() + 0.5 * np.ptp(level))
        assert np.abs(loud[:, None] - wanted).min(1).max() <= 1


# Blocks of TRs, from any TR on, are those of the whole stimulus.


CLOCK = Clock(1.49, 11, onset_s=-0.3, frames_per_tr=24)
FIRST_AND_SIZE = [(0, 4), (0, 30), (4, 4), (7, 3), (10, 1)]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000 * 17)
    shown = (grey(10 * (i % 24), 64, 36) for i in range(24 * 17))
    return write_film(tmp_path_factory.mktemp("film") / "f.mp4", shown, 24, noise, 16000)


@pytest.mark.parametrize(("first", "size"), FIRST_AND_SIZE)
def test_blocks_of_log_mel(film, first, size):
    settings = MelSettings(n_mels=20)
    whole = np.array(log_mel_of_media(film, CLOCK, settings))
    blocks = list(iter_log_mel(film, CLOCK, settings, size, first))
    assert {len(block) for block in blocks[:-1]} <= {size}
    np.testing.assert_allclose(np.concatenate(blocks), whole[first:], atol=1e-5)


@pytest.mark.parametrize(("first", "size"), FIRST_AND_SIZE)
def test_blocks_of_pictures(film, first, size):
    settings = PictureSettings(width=16, height=10, frames_per_tr=5)
    whole = np.array(pictures_of_media(film, CLOCK, settings))
    blocks = list(iter_picture_trs(film, CLOCK, settings, size, first))
    assert {len(block) for block in blocks[:-1]} <= {size}
    np.testing.assert_array_equal(np.concatenate(blocks), whole[first:])


@pytest.mark.parametrize("piece", [1, 777, 10_000])
def test_pieces_are_resampled_as_the_whole_is(piece):
    sound = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    pieces = (sound[start : start + piece] for start in range(0, len(sound), piece))
    np.testing.assert_array_equal(
        np.concatenate(list(iter_resampled(pieces, 11000, 16000))), resample(sound, 11000, 16000)
    )


def test_what_lies_before_a_late_span_is_not_held(tmp_path):
    rate_hz, n_samples = 8000, 8000 * 120
    file = tmp_path / "long.wav"
    soundfile.write(file, np.zeros(n_samples, np.float32), rate_hz)
    tracemalloc.start()
    (span,) = sound_spans(file, rate_hz, [(n_samples - 100, n_samples)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(span) == 100
    assert peak < 0.2 * 4 * n_samples
