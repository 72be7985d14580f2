"""Unseen speech before judges: is it understood at so many floats a TR?"""

import numpy as np
import pytest
import torch
from verify.spoken import TR_S, learned, recording, spoken

from subtr.baselines import mean_rival
from subtr.datasets.recordings import read_manifest
from subtr.items import consecutive
from subtr.judging import Pieces, judged_sounds
from subtr.params import params_hash
from subtr.scoring import sound_rows
from subtr.training_windows import fit_pca

SEEDS = (0, 1, 2)
SIZES = (64, 128, 256, 512, 1024)
JUDGES = ("whisper-base", "stoi")
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
    rows = {}
    for group, original in ((group, speech.original(group)) for group in speech.trs):
        windows = {"round trip": original, "mean": mean_rival(original)}
        rows[group] = judged(speech, group, windows, texts[group])
    return rows


def judged(speech, group, windows, texts, of=None):
    """Rows of windows as judges hear them; ``of``: columns of each."""
    sounds = {name: speech.utterances(group, found) for name, found in windows.items()}
    pieces = Pieces(
        {"original": speech.sounds[group]} | sounds, speech.vocoder.rate_hz, texts, of or {}
    )
    return judged_sounds(pieces, JUDGES, study=group)


@pytest.mark.parametrize("n_floats", SIZES)
def test_speech_is_understood(heard, limits, scored_of, verify_folder, n_floats):
    speech, texts = heard
    # PCA may learn from the validation TRs too, which tier 1 only chooses its weights by.
    known = consecutive(np.arange(speech.split.test[0]), speech.study.run_of_tr)
    pca = fit_pca(torch.from_numpy(speech.study.mel), known, n_floats)
    trained = [learned(speech, n_floats, seed, verify_folder / "trained") for seed in SEEDS]
    rows = []
    for group, trs in speech.trs.items():
        original = speech.original(group)
        windows, of = {"PCA": pca.reconstruct(original)}, {"PCA": {"seed": 0}}
        for seed, (model, params) in zip(SEEDS, trained, strict=True):
            name = f"tier1 {seed}"
            windows[name] = model.reconstruct(trs, speech.study, params.fit_steps).numpy()
            of[name] = {"system": "tier1", "seed": seed, "params_hash": params_hash(params)}
        of = {name: {"floats_per_tr": n_floats} | labels for name, labels in of.items()}
        found = judged(speech, group, windows, texts[group], of)
        ends = {row["system"]: {} for row in limits[group]}
        for row in limits[group]:
            ends[row["system"]][row["metric"]] = row["value"]
        for row in found:
            row["floor"] = ends["mean"].get(row["metric"])
            row["ceiling"] = ends["round trip"].get(row["metric"])
        rows += found + [{"seed": 0} | row for row in limits[group]]
        for name, labels in of.items():
            labels = {"study": group, "system": name} | labels
            rows += sound_rows(original, windows[name], TR_S, **labels)
    scored_of(f"intelligibility_{n_floats}", rows)
    reader = [row for row in rows if row["study"] == READER and row["metric"] == "ASR accuracy"]
    best = {row["system"]: row["value"] for row in reader}
    assert best["round trip"] > 0.8
    assert best["mean"] < 0.2
    assert best["tier1"] > best["mean"]
