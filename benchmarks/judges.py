"""The table can be wrong: what is known to be worse is called worse by every judge of sound."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
import soundfile

from subtr.baselines import mean_rival
from subtr.clock import Clock
from subtr.datasets.recordings import read_manifest
from subtr.judges import JudgeMissing, load_judge
from subtr.judges.word_errors import word_errors
from subtr.metrics.controls import shuffle_frames
from subtr.stimulus.media import resample
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.stimulus.sound import iter_sound
from subtr.vocoders import GriffinLim

TR_S = 1.5
RATE_HZ = 16000
N_UTTERANCES = 16
MUSIC_S = 12.0
WORSE = ("averaged", "shuffled", "noise", "swapped")
# Judge, measure, and what it must call worse than the round trip. DNSMOS knows no original, and
# takes shuffled frames for a quiet background.
SPEECH = [
    ("stoi", "stoi", WORSE),
    ("stoi", "estoi", WORSE),
    ("pesq", "pesq", WORSE),
    ("visqol", "visqol", WORSE),
    ("dnsmos", "dnsmos", ("averaged", "shuffled", "noise")),
    ("dnsmos", "dnsmos_background", ("noise",)),
    ("pitch", "pitch", WORSE),
    ("pitch", "voicing", WORSE),
    ("speakers", "voice", WORSE),
]
MUSIC = [
    ("beats", "beats", WORSE),
    ("tags-magnatagatune", "top_tags", WORSE),
    ("tags-million-songs", "top_genres", WORSE),
]
LEAST_ACCURACY = {"whisper-tiny.en": 0.8, "whisper-base": 0.9, "moonshine-tiny": 0.85}

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def utterances(data_dir):
    """Texts and sounds of the last utterances of a reader."""
    chosen = read_manifest(data_dir / "speech" / "hifi_6097")[-N_UTTERANCES:]
    sounds = [soundfile.read(one.file, dtype="float32")[0] for one in chosen]
    return [one.text for one in chosen], sounds


@pytest.fixture(scope="module")
def heard(utterances):
    """What is done to them -> the utterances after it."""
    return altered(utterances[1])


@pytest.fixture(scope="module")
def music(data_dir):
    """What is done to the middle of each piece -> the pieces after it."""
    pieces = []
    files = sorted((data_dir / "music").glob("*.ogg"))
    # One may be there by name only.
    for file in (file for file in files if file.stat().st_size > 1000):
        sound = np.concatenate([block for _, block in iter_sound(file, RATE_HZ)])
        n = round(MUSIC_S * RATE_HZ)
        start = max(0, (len(sound) - n) // 2)
        pieces.append(sound[start : start + n])
    return altered(pieces)


@dataclass(frozen=True, eq=False)
class Sounds:
    """What is done to sounds -> the sounds after it."""

    of: dict[str, list[np.ndarray]]


def altered(sounds):
    """The sounds as they are, through the vocoder, and three ways of making them worse."""
    rng = np.random.default_rng(0)
    vocoder = GriffinLim(MelSettings())
    found = {"original": sounds, "round trip": [], "averaged": [], "shuffled": [], "noise": []}
    for sound in sounds:
        clock = Clock(TR_S, -(-len(sound) // round(TR_S * RATE_HZ)))
        mel = log_mel_of_sound(sound, RATE_HZ, clock)
        for name, windows in (
            ("round trip", mel),
            ("averaged", mean_rival(mel)),
            ("shuffled", shuffle_frames(mel)),
        ):
            found[name].append(vocoder(windows, clock)[: len(sound)])
        noise = sound.std() * rng.standard_normal(len(sound))
        found["noise"].append(np.clip(sound + noise, -1, 1).astype(np.float32))
    return Sounds(found)


def loaded(name):
    try:
        return load_judge(name)
    except JudgeMissing as error:
        pytest.skip(str(error))


@lru_cache
def scores(name, sounds):
    """A row for each alteration, a column for each measure: means where these are defined."""
    judge = loaded(name)
    of = sounds.of

    def mean(originals, found):
        pairs = zip(originals, found, strict=True)
        return pd.DataFrame([judge.compare(*pair, RATE_HZ) for pair in pairs]).mean()

    rows = {done: mean(of["original"], found) for done, found in of.items()}
    # As if averaging were the original: the original must then be found wanting.
    rows["swapped"] = mean(of["averaged"], of["original"])
    return pd.DataFrame(rows).T


def check_order(name, measure, worse, sounds, measured):
    found = scores(name, sounds)[measure]
    of = {"judge": name, "metric": measure, "n": len(sounds.of["original"])}
    measured += [of | {"system": done, "value": value} for done, value in found.items()]
    assert found["original"] >= found["round trip"] - 1e-6
    for done in worse:
        assert found[done] < found["round trip"], done


@pytest.mark.parametrize(("name", "measure", "worse"), SPEECH)
def test_of_speech(heard, measured, name, measure, worse):
    check_order(name, measure, worse, heard, measured)


@pytest.mark.parametrize(("name", "measure", "worse"), MUSIC)
def test_of_music(music, measured, name, measure, worse):
    check_order(name, measure, worse, music, measured)


@pytest.mark.parametrize("name", LEAST_ACCURACY)
def test_of_words(utterances, heard, measured, name):
    judge = loaded(name)
    texts, _ = utterances
    said = {
        done: [judge.transcribe(sound, RATE_HZ) for sound in sounds]
        for done, sounds in heard.of.items()
    }
    accuracy = {done: word_errors(texts, found).accuracy() for done, found in said.items()}
    # What is heard in averaged speech, taken for the text.
    accuracy["swapped"] = word_errors(said["averaged"], said["original"]).accuracy()
    of = {"judge": name, "metric": "ASR accuracy", "n": len(texts)}
    for done, value in accuracy.items():
        measured.append(of | {"system": done, "value": value})
    assert accuracy["original"] > LEAST_ACCURACY[name]
    # One word of 150 may be heard better after the vocoder.
    assert accuracy["original"] + 0.02 > accuracy["round trip"] > 0.8
    if not any(said["averaged"]):  # no word to be right about
        assert np.isnan(accuracy.pop("swapped"))
    for done in set(WORSE) & set(accuracy):
        assert accuracy[done] < accuracy["round trip"] - 0.2, done


def test_of_speakers(data_dir, measured):
    """Six speakers, enrolled by digits 0 to 4, asked for by 5 to 9."""
    judge = loaded("speakers")
    folder = data_dir / "speech" / "fsdd" / "recordings"
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
        for done, found in sounds.of.items()
    }
    of = {"judge": "speakers", "metric": "speaker identified", "n": len(asked)}
    measured += [of | {"system": done, "value": value} for done, value in accuracy.items()]
    assert accuracy["original"] >= accuracy["round trip"] >= 0.8
    assert accuracy["averaged"] < accuracy["round trip"]
    assert accuracy["noise"] < accuracy["round trip"]
