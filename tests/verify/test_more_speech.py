"""Is it the floats or the minutes of speech that words are lost by?

`system_tier1_more_speech` learns half of the time from 87 minutes of a synthetic voice. It is
judged on the reader, of whom there are 3.7 minutes, and on other sentences of that voice.
"""

import numpy as np
import pytest
import torch
from verify.spoken import TR_S, linear_heard, recording, redrawn, spoken
from verify.test_intelligibility import JUDGES, READER, SEEDS, WORDS, bounded, judged
from verify.voice import voice_of

from subtr.baselines import mean_rival
from subtr.datasets.recordings import read_manifest
from subtr.params import params_hash
from subtr.results import read_results
from subtr.scoring import sound_rows
from subtr.training_windows import fit_pca
from subtr.vocoders import HifiGan, WeightsError

SYSTEM, VOICE = "tier1_more_speech", "voice"
SIZES = (128, 512)

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def heard(data_dir, vocoder_of, verify_folder):
    vocoder = vocoder_of(*JUDGES)
    utterances = read_manifest(data_dir / "speech" / "hifi_6097")
    sounds = [recording(one.file, vocoder) for one in utterances]
    others, held_out, said = voice_of(data_dir, verify_folder / "voice", vocoder)
    groups = {READER: sounds[-16:], VOICE: held_out}
    texts = {READER: [one.text for one in utterances[-16:]], VOICE: said}
    return spoken(sounds[:100], groups, vocoder, [others]), texts


def rows_of(speech, text, group, n_floats, folder):
    """Rows of each seed, between averaging, the floor, and the vocoder's round trip."""
    original = speech.original(group)
    windows, of = {"round trip": original, "mean": mean_rival(original)}, {}
    for seed in SEEDS:
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


def shares(rows):
    """Measure -> words understood, mean over seeds, as a share of the ceiling."""
    found = {}
    for measure in WORDS:
        of = [row for row in rows if row["metric"] == measure and row["system"] == SYSTEM]
        assert len(of) == len(SEEDS)
        found[measure] = np.mean([row["value"] for row in of]) / of[0]["ceiling"]
    return found


@pytest.mark.parametrize("n_floats", SIZES)
def test_words_of_a_reader_beside_whom_a_voice_was_learned_from(
    heard, scored_of, verify_folder, n_floats
):
    speech, texts = heard
    rows = rows_of(speech, texts[READER], READER, n_floats, verify_folder / "trained")
    scored_of(f"more_speech_{n_floats}", rows)
    assert min(shares(rows).values()) > 0.7


@pytest.mark.parametrize("n_floats", SIZES)
def test_the_same_by_a_vocoder_of_speech(heard, scored_of, verify_folder, n_floats):
    speech, texts = heard
    try:
        by_hifi_gan = speech.spoken_by(HifiGan(speech.vocoder.settings))
    except WeightsError as error:
        pytest.skip(str(error))
    rows = rows_of(by_hifi_gan, texts[READER], READER, n_floats, verify_folder / "trained")
    scored_of(f"more_speech_hifi_gan_{n_floats}", rows)
    assert min(shares(rows).values()) > 0.7


def test_of_a_voice_that_was_heard_for_long_nearly_all_words_are_kept(
    heard, scored_of, verify_folder
):
    speech, texts = heard
    rows = rows_of(speech, texts[VOICE], VOICE, 128, verify_folder / "trained")
    scored_of("more_speech_voice_128", rows)
    assert min(shares(rows).values()) > 0.9


def test_components_of_the_same_voice_keep_fewer_words(heard, scored_of, verify_folder):
    """The rival, fitted to what is heard alike."""
    speech, texts = heard
    (others,) = speech.study.other_mel
    pca = fit_pca(torch.from_numpy(others), [np.arange(len(others))], 128)
    windows = {"PCA fitted": linear_heard(pca, speech, VOICE)}
    of = {"PCA fitted": {"system": "PCA fitted", "seed": 0, "floats_per_tr": 128}}
    rows = judged(speech, VOICE, windows, texts[VOICE], of)
    scored_of("more_speech_voice_pca_128", rows)
    ours = read_results(verify_folder / "more_speech_voice_128")
    ours = ours[ours["system"] == SYSTEM].groupby("metric")["value"].mean()
    for row in rows:
        if row["metric"] in WORDS:
            assert row["value"] < ours[row["metric"]]
