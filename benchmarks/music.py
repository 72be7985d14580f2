"""Does music that a system never learned from keep its tempo, its beats and its tags?

Data: four pieces of music in two folds, each judged by what was learned from the other and from
read speech. About two hours on two cores. Needs `make judges`.
Expected: the round trip keeps tempo; tier 1 keeps more tags and tempo than averages.
"""

from pathlib import Path

import numpy as np

from benchmarks.data import TR_S, folder_of, mono_sound, read_manifest, vocoder_before
from benchmarks.spoken import components, learned, spoken
from benchmarks.tables import NotMeasured, Row
from subtr.experiments.judged import Pieces, judged_sounds
from subtr.experiments.results import sound_rows
from subtr.models.linear import mean_baseline
from subtr.params import params_hash

SEEDS = (0, 1, 2)
JUDGES = ("beats", "tags-magnatagatune", "tags-million-songs")
FOLDS = ("Hungarian_Dance", "Sugar_Plum"), ("Vibe_Ace", "trumpet")
EXCERPT_S = 15.0
# Of speech, 20 more raise the preservation of unseen time by 0.002.
MAX_EPOCHS = 12


def run(folder: Path, sizes=(128, 512), seeds=SEEDS) -> list[Row]:
    """Rows of the round trip, averaging, PCA, tier 1, and another piece in place of each."""
    studies, piece_of = music()
    rows = []
    for n_floats in sizes:
        rows += rows_of(studies, piece_of, n_floats, seeds, folder / "trained")
    return rows


def music():
    """For each fold a study of what is learned from and of excerpts that are judged, their group.

    And the piece that each excerpt is from, both folds together.
    """
    vocoder = vocoder_before(*JUDGES)
    read = read_manifest(folder_of("speech/hifi_6097"))[:100]
    speech = [mono_sound(one.file, vocoder.rate_hz) for one in read]
    pieces = [{name: mono_sound(piece(name), vocoder.rate_hz) for name in of} for of in FOLDS]
    studies, piece_of = [], []
    for fold, others in zip(pieces, reversed(pieces), strict=True):
        cut = {name: excerpts(sound, vocoder.rate_hz) for name, sound in fold.items()}
        piece_of += [name for name, of in cut.items() for _ in of]
        judged = {"music": [one for of in cut.values() for one in of]}
        studies.append(spoken([*speech, *others.values()], judged, vocoder))
    return studies, piece_of


def piece(name: str) -> Path:
    file = next(folder_of("music").glob(f"*{name}*.ogg"), None)
    if file is None:
        raise NotMeasured(f"no *{name}*.ogg in {folder_of('music')}: put the piece there.")
    return file


def excerpts(sound, rate_hz):
    """Of equal length, about `EXCERPT_S`; a shorter piece is one."""
    return np.array_split(sound, max(1, round(len(sound) / rate_hz / EXCERPT_S)))


def rows_of(studies, piece_of, n_floats, seeds, folder) -> list[Row]:
    windows = {"round trip": [], "mean": [], "PCA": []} | {f"tier1 {seed}": [] for seed in seeds}
    of = {"PCA": {"system": "PCA", "seed": 0, "floats_per_tr": n_floats}}
    for fold, study in enumerate(studies):
        original = study.original("music")
        pca = components(study, n_floats)
        windows["round trip"].append(original)
        windows["mean"].append(mean_baseline(original))
        windows["PCA"].append(pca.reconstruct(original))
        for seed in seeds:
            place = folder / f"music_{fold}"
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
    return [{"study": "music", "seed": 0} | row for row in rows]


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
