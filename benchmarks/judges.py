"""Does every judge of sound call worse what is known to be worse?

Sounds as they are, through the vocoder, and made worse: averaged, with frames shuffled, in noise;
"swapped" takes the average for the original.

Data: 16 utterances, pieces of music, digits of six speakers. About 15 minutes on two cores. Needs
`make judges`; a judge that is absent is named.
Expected: the original best, then the round trip, then all else. DNSMOS knows no original, and takes
shuffled frames for a quiet background. Words: 0.8 to 0.9 of the original; one of 150 may be heard
better after the vocoder.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from benchmarks.data import TR_S, folder_of, music_files, read_manifest
from benchmarks.tables import Row
from subtr.decoders.griffin_lim import GriffinLim
from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing
from subtr.judges.speech import word_errors
from subtr.metrics.inference import shuffle_frames
from subtr.models.linear import mean_baseline
from subtr.stimulus.media import iter_sound, resample
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.timeline import Clock

RATE_HZ = 16000
N_UTTERANCES = 16
MUSIC_S = 12.0
# Judge -> measures of it.
SPEECH = {
    "stoi": ("stoi", "estoi"),
    "pesq": ("pesq",),
    "visqol": ("visqol",),
    "dnsmos": ("dnsmos", "dnsmos_background"),
    "pitch": ("pitch", "voicing"),
    "speakers": ("voice",),
}
MUSIC = {
    "beats": ("beats",),
    "tags-magnatagatune": ("top_tags",),
    "tags-million-songs": ("top_genres",),
}
WORDS = ("whisper-tiny.en", "whisper-base", "moonshine-tiny")


def run(folder: Path, speech=tuple(SPEECH), music=tuple(MUSIC), words=WORDS) -> list[Row]:
    """A row for each judge, measure and alteration."""
    chosen = read_manifest(folder_of("speech/hifi_6097"))[-N_UTTERANCES:]
    texts = [one.text for one in chosen]
    heard = altered([soundfile.read(one.file, dtype="float32")[0] for one in chosen])
    rows = []
    for name in speech:
        rows += compared_rows(name, SPEECH[name], heard)
    if music:
        pieces = altered([middle_of(file) for file in music_files()])
        for name in music:
            rows += compared_rows(name, MUSIC[name], pieces)
    for name in words:
        rows += word_rows(name, texts, heard)
    return rows + speaker_rows()


def middle_of(file: Path) -> np.ndarray:
    """The middle of a piece of music."""
    sound = np.concatenate([block for _, block in iter_sound(file, RATE_HZ)])
    n = round(MUSIC_S * RATE_HZ)
    start = max(0, (len(sound) - n) // 2)
    return sound[start : start + n]


def altered(sounds):
    """What is done to sounds -> the sounds after it: as they are, by the vocoder, made worse."""
    rng = np.random.default_rng(0)
    vocoder = GriffinLim(MelSettings())
    found = {"original": sounds, "round trip": [], "averaged": [], "shuffled": [], "noise": []}
    for sound in sounds:
        clock = Clock(TR_S, -(-len(sound) // round(TR_S * RATE_HZ)))
        mel = log_mel_of_sound(sound, RATE_HZ, clock)
        for name, windows in (
            ("round trip", mel),
            ("averaged", mean_baseline(mel)),
            ("shuffled", shuffle_frames(mel)),
        ):
            found[name].append(vocoder(windows, clock)[: len(sound)])
        noise = sound.std() * rng.standard_normal(len(sound))
        found["noise"].append(np.clip(sound + noise, -1, 1).astype(np.float32))
    return found


def loaded(name):
    try:
        return load_judge(name)
    except JudgeMissing as error:
        print(f"{name} is not measured: {error}")
        return None


def rows_of(name, measure, values, n) -> list[Row]:
    of = {"judge": name, "metric": measure, "n": n}
    return [of | {"system": done, "value": value} for done, value in values.items()]


def compared_rows(name, measures, sounds) -> list[Row]:
    """Means over sounds, where these are defined."""
    judge = loaded(name)
    if judge is None:
        return []

    def mean(originals, found):
        pairs = zip(originals, found, strict=True)
        return pd.DataFrame([judge.compare(*pair, RATE_HZ) for pair in pairs]).mean()

    means = {done: mean(sounds["original"], found) for done, found in sounds.items()}
    # As if averaging were the original: the original must then be found wanting.
    means["swapped"] = mean(sounds["averaged"], sounds["original"])
    rows, n = [], len(sounds["original"])
    for measure in measures:
        rows += rows_of(name, measure, {done: of[measure] for done, of in means.items()}, n)
    return rows


def word_rows(name, texts, sounds) -> list[Row]:
    judge = loaded(name)
    if judge is None:
        return []
    said = {
        done: [judge.transcribe(sound, RATE_HZ) for sound in found]
        for done, found in sounds.items()
    }
    accuracy = {done: word_errors(texts, found).accuracy() for done, found in said.items()}
    # What is heard in averaged speech, taken for the text.
    accuracy["swapped"] = word_errors(said["averaged"], said["original"]).accuracy()
    return rows_of(name, "ASR accuracy", accuracy, len(texts))


def speaker_rows() -> list[Row]:
    """Six speakers, enrolled by digits 0 to 4, asked for by 5 to 9."""
    judge = loaded("speakers")
    if judge is None:
        return []
    folder = folder_of("speech/fsdd") / "recordings"
    names = sorted({file.stem.split("_")[1] for file in folder.glob("*.wav")})

    def utterance(name, take, digits):
        files = [folder / f"{digit}_{name}_{take}.wav" for digit in digits]
        sound = np.concatenate([soundfile.read(file, dtype="float32")[0] for file in files])
        return resample(sound, 8000, RATE_HZ)

    enrolled = {name: [utterance(name, take, range(5)) for take in range(3)] for name in names}
    asked = [(name, take) for name in names for take in (7, 8)]
    sounds = altered([utterance(name, take, range(5, 10)) for name, take in asked])
    known = judge.enrol(enrolled, RATE_HZ)
    accuracy = {
        done: known.accuracy([name for name, _ in asked], found, RATE_HZ)
        for done, found in sounds.items()
    }
    return rows_of("speakers", "speaker identified", accuracy, len(asked))
