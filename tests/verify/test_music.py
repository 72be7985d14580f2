"""Music that a system never learned from: does it keep its tempo, its beats and its tags?

Two folds of pieces: each is judged by what was learned from the other and from read speech.
"""

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
SIZES = (128, 512)
JUDGES = ("beats", "tags-magnatagatune", "tags-million-songs")
FOLDS = ("Hungarian_Dance", "Sugar_Plum"), ("Vibe_Ace", "trumpet")
EXCERPT_S = 15.0
# Of speech, 20 more raise the preservation of unseen time by 0.002.
MAX_EPOCHS = 12

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def music(data_dir, vocoder_of):
    """For each fold a study of what is learned from and of excerpts that are judged, their group.

    And the piece that each excerpt is from, both folds together.
    """
    vocoder = vocoder_of(*JUDGES)
    read = read_manifest(data_dir / "speech" / "hifi_6097")[:100]
    speech = [recording(one.file, vocoder) for one in read]
    pieces = [
        {name: recording(next((data_dir / "music").glob(f"*{name}*.ogg")), vocoder) for name in of}
        for of in FOLDS
    ]
    studies, piece_of = [], []
    for fold, others in zip(pieces, reversed(pieces), strict=True):
        cut = {name: excerpts(sound, vocoder.rate_hz) for name, sound in fold.items()}
        piece_of += [name for name, of in cut.items() for _ in of]
        judged = {"music": [one for of in cut.values() for one in of]}
        studies.append(spoken([*speech, *others.values()], judged, vocoder))
    return studies, piece_of


def excerpts(sound, rate_hz):
    """Of equal length, about `EXCERPT_S`; a shorter piece is one."""
    return np.array_split(sound, max(1, round(len(sound) / rate_hz / EXCERPT_S)))


@pytest.mark.parametrize("n_floats", SIZES)
def test_music_keeps_its_tempo_and_its_tags(music, scored_of, verify_folder, n_floats):
    studies, piece_of = music
    windows = {"round trip": [], "mean": [], "PCA": []} | {f"tier1 {seed}": [] for seed in SEEDS}
    of = {"PCA": {"system": "PCA", "seed": 0, "floats_per_tr": n_floats}}
    for fold, study in enumerate(studies):
        original = study.original("music")
        known = consecutive(np.arange(study.split.test[0]), study.study.run_of_tr)
        pca = fit_pca(torch.from_numpy(study.study.mel), known, n_floats)
        windows["round trip"].append(original)
        windows["mean"].append(mean_rival(original))
        windows["PCA"].append(pca.reconstruct(original))
        for seed in SEEDS:
            place = verify_folder / "trained" / f"music_{fold}"
            model, params = learned(study, n_floats, seed, place, max_epochs=MAX_EPOCHS)
            found = model.reconstruct(study.trs["music"], study.study, params.vector_fit)
            windows[f"tier1 {seed}"].append(found.numpy())
            labels = {"system": "tier1", "seed": seed, "params_hash": params_hash(params)}
            of[f"tier1 {seed}"] = {"floats_per_tr": n_floats} | labels
    sounds = {"original": [one for study in studies for one in study.sounds["music"]]}
    for name, found in windows.items():
        parts = zip(studies, found, strict=True)
        sounds[name] = [one for study, part in parts for one in study.utterances("music", part)]
    rows = judged_sounds(Pieces(sounds, studies[0].vocoder.rate_hz, labels=of), JUDGES)
    originals = np.concatenate(windows["round trip"])
    for name, labels in of.items():
        rows += sound_rows(originals, np.concatenate(windows[name]), TR_S, **labels)
    rows += [row | {"system": "another piece"} for row in by_chance(sounds, piece_of, studies)]
    scored_of(f"music_{n_floats}", [{"study": "music", "seed": 0} | row for row in rows])
    value = {(row["system"], row["metric"]): row["value"] for row in rows}
    assert value["round trip", "tempo"] > 0.8
    assert value["round trip", "top_tags"] > value["another piece", "top_tags"]
    assert value["tier1", "top_tags"] > value["mean", "top_tags"]
    assert value["tier1", "tempo"] > value["mean", "tempo"]


def by_chance(sounds, piece_of, studies):
    """Rows of an excerpt of another piece in place of each: what agrees without any hearing."""
    originals, n = sounds["original"], len(piece_of)
    others = [
        next(at % n for at in range(i + n // 2, i + n + n // 2) if piece_of[at % n] != piece_of[i])
        for i in range(n)
    ]
    lengths = [len(one) for one in originals]
    shown = [
        np.resize(originals[other], length) for other, length in zip(others, lengths, strict=True)
    ]
    pieces = Pieces({"original": originals, "another piece": shown}, studies[0].vocoder.rate_hz)
    return judged_sounds(pieces, JUDGES)
