"""Real sound and copies of it: every copy is found whole, and nothing else is.

How alike the two likest stretches of unlike recordings are says how far from the limit they stay.
"""

import io
from itertools import permutations

import numpy as np
import pytest
import scipy.signal
import soundfile
from verify.test_video_judges import FILMS

from subtr.clock import Clock
from subtr.datasets.recordings import read_manifest
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.stimulus.same_sound import LEAST_R, PROBE_S, KnownSound, best_r, slopes
from subtr.stimulus.same_sound import RATE_HZ as STEPS_HZ
from subtr.stimulus.sound import iter_sound, resample

RATE_HZ = 16_000
TR_S, FRAMES_PER_TR = 1.5, 60
PER_STEP = round(FRAMES_PER_TR / TR_S / STEPS_HZ)
SETTINGS = MelSettings(n_mels=80)
CUT_S = 1.37

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def sounds(data_dir):
    """Name -> sound: readers, pieces of music, clips."""
    reader = [of.file for of in read_manifest(data_dir / "speech" / "hifi_6097")]
    files = [*(data_dir / "speech" / "librispeech").glob("*.ogg")]
    # A copy of the data may hold the name of another file in place of a piece.
    files += [of for of in (data_dir / "music").glob("*.ogg") if of.read_bytes()[:4] == b"OggS"]
    files += [data_dir / film for film in FILMS.values() if film]
    found = {of.stem: heard(of) for of in files}
    return found | {"hifi_6097": np.concatenate([heard(of) for of in reader])}


def heard(file):
    return np.concatenate([block for _, block in iter_sound(file, RATE_HZ)])


def mel_of(sound):
    clock = Clock(TR_S, int(len(sound) / RATE_HZ // TR_S), 0.0, FRAMES_PER_TR)
    return log_mel_of_sound(sound, RATE_HZ, clock, SETTINGS)


def through(file_format):
    def copied(sound):
        file, how = io.BytesIO(), {"format": file_format, "compression_level": 0.9}
        with soundfile.SoundFile(file, "w", RATE_HZ, 1, **how) as stream:
            for start in range(0, len(sound), RATE_HZ):  # all at once is too much for Vorbis
                stream.write(sound[start : start + RATE_HZ])
        file.seek(0)
        return soundfile.read(file, dtype="float32")[0]

    return copied


def equalised(sound):
    low_pass = scipy.signal.butter(1, 500, fs=RATE_HZ, output="sos")
    return (sound + 2 * scipy.signal.sosfilt(low_pass, sound)).astype(np.float32)


COPIES = {
    "whole": lambda sound: sound,
    "mp3": through("MP3"),
    "vorbis": through("OGG"),
    "telephone": lambda sound: resample(resample(sound, RATE_HZ, 8000), 8000, RATE_HZ),
    "equalised": equalised,
    "clipped": lambda sound: np.clip(sound, *(np.array([-0.2, 0.2]) * np.abs(sound).max())),
}


@pytest.mark.parametrize("copy", COPIES)
def test_every_copy_is_found(sounds, measured, copy):
    for name, sound in sounds.items():
        other = mel_of(COPIES[copy](sound[round(CUT_S * RATE_HZ) :]))
        share = KnownSound(mel_of(sound), TR_S).trs_of(other).mean()
        measured.append({"recording": name, "copy": copy, "metric": "found", "value": share})
        assert share == 1


def test_nothing_else_is_found(sounds, measured, verify_folder):
    mels = {name: mel_of(sound) for name, sound in sounds.items()}
    if voice := sorted((verify_folder / "voice").glob("*.wav")):
        mels["voice"] = mel_of(np.concatenate([heard(file) for file in voice]))
    for one, other in permutations(mels, 2):
        assert not KnownSound(mels[one], TR_S).trs_of(mels[other]).any()
        steps = [slopes(mels[of], PER_STEP) for of in (one, other)]
        probe = min(round(PROBE_S * STEPS_HZ), *(of.shape[1] for of in steps))
        r = best_r(*steps, probe).max().item()
        measured.append({"recording": one, "copy": other, "metric": "likest r", "value": r})
        assert r < LEAST_R - 0.05
