"""Voices that a system never learned from: is the speaker still known?"""

import numpy as np
import pytest
import torch
from verify.spoken import learned, recording, spoken

from subtr.baselines import mean_rival
from subtr.items import consecutive
from subtr.judges import load_judge
from subtr.metrics import block_bootstrap
from subtr.training_windows import fit_pca

SEEDS = (0, 1, 2)
N_FLOATS = 256
# Takes of each digit by which speakers are enrolled; the others are judged.
ENROLLED, JUDGED = range(5), range(5, 10)
SPEAKER = "speaker identified"

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def digits(data_dir, vocoder_of):
    """Speaker -> take -> ten digits, spoken one after the other in two utterances of five."""
    vocoder = vocoder_of("speakers")
    folder = data_dir / "speech" / "fsdd" / "recordings"
    names = sorted({file.stem.split("_")[1] for file in folder.glob("*.wav")})
    return vocoder, {
        name: {
            take: [
                np.concatenate(
                    [recording(folder / f"{d}_{name}_{take}.wav", vocoder) for d in part]
                )
                for part in (range(5), range(5, 10))
            ]
            for take in (*ENROLLED, *JUDGED)
        }
        for name in names
    }


def in_takes(of, takes):
    """Utterances of some takes."""
    return [sound for take in takes for sound in of[take]]


def test_unknown_speakers_are_told_apart(digits, scored_of, verify_folder):
    """Each speaker through a system that learned from the five others, and never from them."""
    vocoder, digits = digits
    judge = load_judge("speakers")
    enrolled = {name: in_takes(of, ENROLLED) for name, of in digits.items()}
    known = judge.enrol(enrolled, vocoder.rate_hz)
    right = {}
    for name in digits:
        train = [sound for other, of in enrolled.items() if other != name for sound in of]
        test = in_takes(digits[name], JUDGED)
        speech = spoken(train, {name: test}, vocoder)
        original = speech.original(name)
        stretches = consecutive(np.arange(speech.split.test[0]), speech.study.run_of_tr)
        pca = fit_pca(torch.from_numpy(speech.study.mel), stretches, N_FLOATS)
        windows = {("round trip", 0): original, ("mean", 0): mean_rival(original)}
        windows["PCA", 0] = pca.reconstruct(original)
        for seed in SEEDS:
            model, params = learned(speech, N_FLOATS, seed, verify_folder / "trained" / name)
            found = model.reconstruct(speech.trs[name], speech.study, params.fit_steps)
            windows["tier1", seed] = found.numpy()
        sounds = {key: speech.utterances(name, found) for key, found in windows.items()}
        for key, of in ({("recording", 0): test} | sounds).items():
            heard = np.array(known.identify(of, vocoder.rate_hz)) == name
            right.setdefault(key, []).append(heard)
    rows = []
    for (system, seed), of in right.items():
        # Speakers are drawn again, each with all of their utterances.
        each = np.array([one.mean() for one in of])
        low, high = block_bootstrap(lambda index, each=each: each[index].mean(), len(each), 1)
        row = {"study": "digits", "system": system, "seed": seed, "metric": SPEAKER}
        row |= {"modality": "sound", "value": each.mean(), "low": low, "high": high}
        if system in ("PCA", "tier1"):
            row["floats_per_tr"] = N_FLOATS
        ceiling = np.mean([one.mean() for one in right["round trip", 0]])
        rows.append(row | {"floor": 1 / len(digits), "ceiling": ceiling})
    scored_of("speakers", rows)
    value = {row["system"]: row["value"] for row in rows}
    assert value["recording"] > 0.9
    assert value["mean"] < value["round trip"]
