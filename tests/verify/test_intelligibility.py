"""Unseen speech before judges: is it understood at so many floats a TR?

"fitted" are systems whose vectors are fitted to what Whisper's `tiny.en` hears too; whisper-base,
with other weights, and Moonshine, of another family, judge all alike.
"""

import numpy as np
import pytest
import torch
from verify.spoken import TR_S, fit_to_what_is_heard, learned, linear_heard, recording, spoken

from subtr.baselines import mean_rival
from subtr.datasets.recordings import read_manifest
from subtr.items import consecutive
from subtr.judging import Pieces, judged_sounds
from subtr.params import params_hash
from subtr.scoring import sound_rows
from subtr.training_windows import fit_pca

SEEDS = (0, 1, 2)
SIZES = (64, 128, 256, 512, 1024)
JUDGES = ("whisper-base", "moonshine-tiny", "stoi")
WORDS = ("ASR accuracy", "ASR accuracy, Moonshine")
READER, STRANGERS = "speech", "strangers"

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def heard(data_dir, vocoder_of):
    """100 utterances of a reader to learn from; 16 others, and three other readers, to judge by.

    With the text of the first group; of the others it is what the judge hears in the recording.
    """
    vocoder = vocoder_of(*JUDGES)
    utterances = read_manifest(data_dir / "speech" / "hifi_6097")
    sounds = [recording(one.file, vocoder) for one in utterances]
    files = sorted((data_dir / "speech" / "librispeech").glob("*.ogg"))
    strangers = [recording(file, vocoder) for file in files]
    groups = {READER: sounds[-16:], STRANGERS: strangers}
    texts = {READER: [one.text for one in utterances[-16:]], STRANGERS: None}
    return spoken(sounds[:100], groups, vocoder), texts


@pytest.fixture(scope="module")
def limits(heard):
    """Group -> rows of the vocoder's round trip, the ceiling, and of averaging, the floor."""
    speech, texts = heard
    kept = {}

    def of(group):
        if group not in kept:
            original = speech.original(group)
            windows = {"round trip": original, "mean": mean_rival(original)}
            kept[group] = judged(speech, group, windows, texts[group])
        return kept[group]

    return of


def judged(speech, group, windows, texts, of=None):
    """Rows of windows as judges hear them; ``of``: columns of each."""
    sounds = {name: speech.utterances(group, found) for name, found in windows.items()}
    sounds = {"original": speech.sounds[group]} | sounds
    pieces = Pieces(sounds, speech.vocoder.rate_hz, texts, of or {})
    return judged_sounds(pieces, JUDGES, study=group)


def bounded(rows, limits):
    """Sets floor and ceiling of rows from those of averaging and the round trip; gives these."""
    ends = {(row["system"], row["metric"]): row["value"] for row in limits}
    for row in rows:
        row["floor"] = ends.get(("mean", row["metric"]))
        row["ceiling"] = ends.get(("round trip", row["metric"]))
    return ends


def rows_of(heard, limits, group, n_floats, folder):
    """Rows of PCA and of tier 1, each seed, between averaging and the round trip.

    Either as it is, and fitted to what is heard.
    """
    speech, texts = heard
    original = speech.original(group)
    # PCA may learn from the validation TRs too, which tier 1 only chooses its weights by.
    known = consecutive(np.arange(speech.split.test[0]), speech.study.run_of_tr)
    pca = fit_pca(torch.from_numpy(speech.study.mel), known, n_floats)
    windows = {"PCA": pca.reconstruct(original), "PCA fitted": linear_heard(pca, speech, group)}
    of = {name: {"system": name, "seed": 0, "floats_per_tr": n_floats} for name in windows}
    heard_fit = fit_to_what_is_heard()
    for seed in SEEDS:
        model, params = learned(speech, n_floats, seed, folder)
        for system, fit in (("tier1", params.vector_fit), ("tier1 fitted", heard_fit)):
            found = model.reconstruct(speech.trs[group], speech.study, fit)
            name = f"{system} {seed}"
            windows[name] = found.numpy()
            labels = {"system": system, "seed": seed, "params_hash": params_hash(params)}
            of[name] = {"floats_per_tr": n_floats} | labels
    rows = judged(speech, group, windows, texts[group], of)
    bounded(rows, limits(group))
    for name, labels in of.items():
        rows += sound_rows(original, windows[name], TR_S, study=group, **labels)
    return rows + [{"seed": 0} | row for row in limits(group)]


@pytest.mark.parametrize("n_floats", SIZES)
def test_speech_is_understood(heard, limits, scored_of, verify_folder, n_floats):
    rows = rows_of(heard, limits, READER, n_floats, verify_folder / "trained")
    scored_of(f"intelligibility_{n_floats}", rows)
    of = {(row["system"], row["metric"]): row["value"] for row in rows}
    for measure in WORDS:
        assert of["round trip", measure] > 0.8
        assert of["mean", measure] < 0.2
        if n_floats < 512:
            assert of["tier1 fitted", measure] > of["tier1", measure]
    # With 64 floats no word is understood either, but more is heard than in averages.
    assert of["round trip", "stoi"] > of["tier1", "stoi"] > of["mean", "stoi"]
    if n_floats > 64:
        assert of["tier1", "ASR accuracy"] > of["mean", "ASR accuracy"]


@pytest.mark.parametrize("n_floats", SIZES)
def test_readers_that_were_never_learned_from(heard, limits, scored_of, verify_folder, n_floats):
    rows = rows_of(heard, limits, STRANGERS, n_floats, verify_folder / "trained")
    scored_of(f"strangers_{n_floats}", rows)
    of = {row["system"]: row["value"] for row in rows if row["metric"] == "stoi"}
    assert of["mean"] < of["tier1"] < of["round trip"]
