"""Is every duplicate of a stimulus found whole, and nothing else?

Copies are MP3, Vorbis, by telephone, equalised and clipped. How alike the two likest segments of
unlike recordings are says how far from the limit they stay.

Data: readers, pieces of music, clips; the voice of `more_speech` where it was made. About 10
minutes on two cores. Expected: a share of 1 of every copy, 0 of all else, and r at least 0.05 below
the limit.
"""

import io
from itertools import permutations
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile

from benchmarks.data import FILMS, TR_S, film_file, folder_of, music_files, read_manifest
from benchmarks.tables import Row
from subtr.stimulus.media import iter_sound, resample
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.timeline import Clock
from subtr.training.recordings import PROBE_S, KnownSound, best_r, slopes
from subtr.training.recordings import RATE_HZ as STEPS_HZ

RATE_HZ = 16_000
FRAMES_PER_TR = 60
PER_STEP = round(FRAMES_PER_TR / TR_S / STEPS_HZ)
TABLE = "same_sound"
SETTINGS = MelSettings(n_mels=80)
CUT_S = 1.37


def run(folder: Path, recordings=None, copies=None) -> list[Row]:
    """Rows: the share of each copy that is found; of any other recording; and the likest r.

    Arguments
        recordings: names of files, without their endings, and "hifi_6097"; all by default.
        copies: of `COPIES`; all by default.
    """
    sounds, rows = loaded(recordings), []
    for copy in COPIES if copies is None else copies:
        for name, sound in sounds.items():
            other = mel_of(COPIES[copy](sound[round(CUT_S * RATE_HZ) :]))
            share = KnownSound(mel_of(sound), TR_S).trs_of(other).mean()
            rows.append({"recording": name, "copy": copy, "metric": "found", "value": share})
    mels = {name: mel_of(sound) for name, sound in sounds.items()}
    if voice := sorted((folder / "voice").glob("*.wav")):
        mels["voice"] = mel_of(np.concatenate([heard(file) for file in voice]))
    for one, other in permutations(mels, 2):
        of = {"recording": one, "copy": other}
        share = KnownSound(mels[one], TR_S).trs_of(mels[other]).mean()
        rows.append(of | {"metric": "found in another recording", "value": share})
        steps = [slopes(mels[name], PER_STEP) for name in (one, other)]
        probe = min(round(PROBE_S * STEPS_HZ), *(part.shape[1] for part in steps))
        r = best_r(*steps, probe).max().item()
        rows.append(of | {"metric": "likest r", "value": r})
    return rows


def loaded(recordings=None):
    """Name -> sound: readers, pieces of music, clips."""
    reader = [of.file for of in read_manifest(folder_of("speech/hifi_6097"))]
    files = [*folder_of("speech/librispeech").glob("*.ogg"), *music_files()]
    files += [film_file(film) for film, clip in FILMS.items() if clip]
    parts = {of.stem: [of] for of in files} | {"hifi_6097": reader}
    return {
        name: np.concatenate([heard(file) for file in of])
        for name, of in parts.items()
        if recordings is None or name in recordings
    }


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
