"""Voices that a system never learned from: are the speakers still told apart?"""

import numpy as np
import pytest
import torch
from verify.spoken import learned, recording, spoken

from subtr.baselines import mean_rival
from subtr.datasets.recordings import read_manifest
from subtr.items import consecutive
from subtr.judges import load_judge
from subtr.metrics import block_bootstrap
from subtr.training_windows import fit_pca

SEEDS = (0, 1, 2)
SIZES = (64, 128, 256, 512, 1024)
# Takes of each digit by which speakers are enrolled; the others are judged.
ENROLLED, JUDGED = range(5), range(5, 10)
SPEAKER = "speaker identified"

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def strangers(data_dir, vocoder_of):
    """Known voices, and a study of one reader to learn from and six others who say digits.

    An utterance is five digits of a take, one after the other.
    """
    vocoder = vocoder_of("speakers")
    folder = data_dir / "speech" / "fsdd" / "recordings"
    names = sorted({file.stem.split("_")[1] for file in folder.glob("*.wav")})

    def utterances(name, takes):
        files = [
            [folder / f"{digit}_{name}_{take}.wav" for digit in five]
            for take in takes
            for five in (range(5), range(5, 10))
        ]
        return [np.concatenate([recording(file, vocoder) for file in of]) for of in files]

    enrolled = {name: utterances(name, ENROLLED) for name in names}
    known = load_judge("speakers").enrol(enrolled, vocoder.rate_hz)
    reader = read_manifest(data_dir / "speech" / "hifi_6097")[:100]
    train = [recording(one.file, vocoder) for one in reader]
    return known, spoken(train, {name: utterances(name, JUDGED) for name in names}, vocoder)


@pytest.mark.parametrize("n_floats", SIZES)
def test_speakers_who_were_never_learned_from_are_told_apart(
    strangers, scored_of, verify_folder, n_floats
):
    known, speech = strangers
    stretches = consecutive(np.arange(speech.split.test[0]), speech.study.run_of_tr)
    pca = fit_pca(torch.from_numpy(speech.study.mel), stretches, n_floats)
    trained = [learned(speech, n_floats, seed, verify_folder / "trained") for seed in SEEDS]
    right = {}
    for name, sounds in speech.sounds.items():
        original = speech.original(name)
        windows = {("round trip", 0): original, ("mean", 0): mean_rival(original)}
        windows["PCA", 0] = pca.reconstruct(original)
        for seed, (model, params) in zip(SEEDS, trained, strict=True):
            found = model.reconstruct(speech.trs[name], speech.study, params.vector_fit)
            windows["tier1", seed] = found.numpy()
        heard = {key: speech.utterances(name, found) for key, found in windows.items()}
        for key, of in ({("recording", 0): sounds} | heard).items():
            told = np.array(known.identify(of, speech.vocoder.rate_hz)) == name
            right.setdefault(key, []).append(told.mean())
    rows = [row_of(*key, np.array(of), n_floats) for key, of in right.items()]
    ceiling = np.mean(right["round trip", 0])
    limits = {"floor": 1 / len(known.names), "ceiling": ceiling}
    scored_of(f"speakers_{n_floats}", [row | limits for row in rows])
    assert np.mean(right["recording", 0]) > 0.9
    assert np.mean(right["mean", 0]) < ceiling


def row_of(system, seed, of_speakers, n_floats):
    """Share of utterances; speakers are drawn again, each with all of their utterances."""
    low, high = block_bootstrap(lambda of: of_speakers[of].mean(), len(of_speakers), 1)
    row = {"study": "digits", "system": system, "seed": seed, "metric": SPEAKER}
    row |= {"modality": "sound", "value": of_speakers.mean(), "low": low, "high": high}
    return row | ({"floats_per_tr": n_floats} if system in ("PCA", "tier1") else {})
