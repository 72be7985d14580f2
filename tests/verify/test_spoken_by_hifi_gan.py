"""Words of vectors fitted to what is heard, made audible by HiFi-GAN, which learned speech."""

import numpy as np
import pytest
import torch
from verify.spoken import fit_to_what_is_heard, learned, linear_heard
from verify.test_intelligibility import READER, SEEDS, WORDS, bounded, heard, judged

from subtr.baselines import mean_rival
from subtr.items import consecutive
from subtr.params import params_hash
from subtr.training_windows import fit_pca
from subtr.vocoders import HifiGan, WeightsError

__all__ = ["heard"]

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def spoken_by_hifi_gan(heard):
    """What `heard` gives, with another vocoder for the same log-mel."""
    speech, texts = heard
    try:
        vocoder = HifiGan(speech.vocoder.settings)
    except WeightsError as error:
        pytest.skip(str(error))
    return speech.spoken_by(vocoder), texts


@pytest.mark.parametrize("n_floats", [128, 512])
def test_words_by_a_vocoder_of_speech(spoken_by_hifi_gan, scored_of, verify_folder, n_floats):
    speech, texts = spoken_by_hifi_gan
    original, fit = speech.original(READER), fit_to_what_is_heard()
    known = consecutive(np.arange(speech.split.test[0]), speech.study.run_of_tr)
    pca = fit_pca(torch.from_numpy(speech.study.mel), known, n_floats)
    windows = {"round trip": original, "mean": mean_rival(original)}
    windows["PCA fitted"] = linear_heard(pca, speech, READER)
    of = {"PCA fitted": {"system": "PCA fitted", "seed": 0, "floats_per_tr": n_floats}}
    for system, named in (("tier1", "tier1 fitted"), ("tier1_heard", "tier1_heard")):
        for seed in SEEDS:
            model, params = learned(speech, n_floats, seed, verify_folder / "trained", system)
            found = model.reconstruct(speech.trs[READER], speech.study, fit)
            windows[f"{named} {seed}"] = found.numpy()
            labels = {"system": named, "seed": seed, "params_hash": params_hash(params)}
            of[f"{named} {seed}"] = {"floats_per_tr": n_floats} | labels
    rows = [{"seed": 0} | row for row in judged(speech, READER, windows, texts[READER], of)]
    ends = bounded(rows, rows)
    scored_of(f"hifi_gan_{n_floats}", rows)
    for measure in WORDS:
        words = [
            row["value"]
            for row in rows
            if row["metric"] == measure and row["system"] == "tier1_heard"
        ]
        assert len(words) == len(SEEDS)
        assert np.mean(words) > 0.6 * ends["round trip", measure] > 0.5
        assert ends["mean", measure] < 0.2
