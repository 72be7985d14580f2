"""A copy is found at its place, whatever became of it; other sounds are not."""

import io

import numpy as np
import pytest
import scipy.signal
import soundfile
from gliding_tones import RATE_HZ, gliding_tones
from hypothesis import given, settings
from hypothesis import strategies as st

from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.timeline import Clock
from subtr.training.recordings import KnownSound

TR_S = 1.5
SETTINGS = MelSettings(n_mels=40)


def mel_of(sound, frames_per_tr=64):
    n_trs = int(len(sound) / RATE_HZ // TR_S)
    return log_mel_of_sound(
        sound.astype(np.float32), RATE_HZ, Clock(TR_S, n_trs, 0.0, frames_per_tr), SETTINGS
    )


def through(file_format, **options):
    def copied(sound):
        kept = io.BytesIO()
        soundfile.write(kept, sound, RATE_HZ, format=file_format, **options)
        kept.seek(0)
        return soundfile.read(kept)[0]

    return copied


def equalised(sound):
    return scipy.signal.sosfilt(
        scipy.signal.butter(2, [200, 2000], "bandpass", fs=RATE_HZ, output="sos"), sound
    )


FILM = gliding_tones(60, 0)
COPIES = {
    "the same": lambda sound: sound,
    "mp3": through("MP3", compression_level=0.99),
    "vorbis": through("OGG", compression_level=0.99),
    "quiet": lambda sound: 0.05 * sound,
    "upside down": lambda sound: -sound,
    "equalised": equalised,
    "in noise": lambda sound: sound + 5e-3 * np.random.default_rng(9).standard_normal(len(sound)),
}


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("frames_per_tr", [24, 64, 129])
def test_a_copy_is_found_in_the_midst_of_another_recording(copy, frames_per_tr):
    excerpt = COPIES[copy](FILM[round(21.37 * RATE_HZ) : round(41.0 * RATE_HZ)])
    other = np.concatenate([gliding_tones(15.2, 1), excerpt, gliding_tones(15.0, 2)])
    same = KnownSound(mel_of(FILM, frames_per_tr), TR_S).trs_of(mel_of(other, frames_per_tr))
    # Seconds 15.2 to 34.83, of which not a TR is missed, and hardly more than 6 s on each side.
    assert same[10:24].all()
    assert not same[:5].any()
    assert not same[29:].any()


@given(begin_s=st.floats(0, 50), length_s=st.floats(9.5, 20), before_s=st.floats(0, 10))
@settings(max_examples=20, deadline=None)
def test_half_as_long_again_as_a_probe_is_found_wherever_it_begins(begin_s, length_s, before_s):
    excerpt = FILM[round(begin_s * RATE_HZ) :][: round(length_s * RATE_HZ)]
    other = np.concatenate([gliding_tones(before_s, 3), excerpt, gliding_tones(6, 4)])
    same = KnownSound(mel_of(FILM), TR_S).trs_of(mel_of(other))
    middle_s = before_s + len(excerpt) / RATE_HZ / 2
    assert same[int(middle_s // TR_S)]


@pytest.mark.parametrize("seed", range(5))
def test_another_sound_is_not_the_same(seed):
    assert not KnownSound(mel_of(FILM), TR_S).trs_of(mel_of(gliding_tones(60, 10 + seed))).any()


def test_short_recordings_are_compared_whole_and_the_shortest_not_at_all():
    film, word = mel_of(FILM), FILM[round(30.3 * RATE_HZ) :]
    four = mel_of(word[: round(4.5 * RATE_HZ)])
    assert KnownSound(film, TR_S).trs_of(four).tolist() == [True] * 3
    assert KnownSound(four, TR_S).trs_of(film)[20:23].all()
    assert not KnownSound(film, TR_S).trs_of(mel_of(gliding_tones(4.5, 5))).any()
    assert not KnownSound(film, TR_S).trs_of(mel_of(word[: round(1.6 * RATE_HZ)])).any()


def test_silence_is_not_said_to_be_the_same():
    film, silent = mel_of(FILM), mel_of(np.zeros(30 * RATE_HZ))
    for one, other in ((film, silent), (silent, film), (silent, silent)):
        assert not KnownSound(one, TR_S).trs_of(other).any()
    # Nor does it hide what comes after it.
    paused = mel_of(np.concatenate([FILM, np.zeros(20 * RATE_HZ), FILM]))
    assert KnownSound(paused, TR_S).trs_of(film).all()
    # A pause of both, in which codecs leave what they like.
    rng = np.random.default_rng(0)
    paused = [
        mel_of(np.concatenate([gliding_tones(20, seed), 1e-4 * rng.standard_normal(20 * RATE_HZ)]))
        for seed in (6, 7)
    ]
    assert not KnownSound(paused[0], TR_S).trs_of(paused[1]).any()


def test_a_hum_that_both_hold_does_not_make_them_the_same():
    times_s = np.arange(60 * RATE_HZ) / RATE_HZ
    hum = sum(np.sin(2 * np.pi * hz * times_s) / n for n, hz in enumerate((100, 500, 2500), 1))
    hummed = [mel_of(0.3 * hum + gliding_tones(60, seed)) for seed in (7, 8)]
    assert not KnownSound(hummed[0], TR_S).trs_of(hummed[1]).any()
