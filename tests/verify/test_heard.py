"""Speech of a system that learned from what Whisper's `tiny.en` hears, before other recognisers."""

import numpy as np
import pytest
from verify.spoken import TR_S, learned
from verify.test_intelligibility import JUDGES, READER, SEEDS, WORDS, bounded, heard, judged, limits

from subtr.params import params_hash
from subtr.scoring import sound_rows

__all__ = ["heard", "limits"]

pytestmark = pytest.mark.verify


@pytest.mark.parametrize("n_floats", [128, 256, 512])
def test_words_of_what_learned_to_be_heard(heard, limits, scored_of, verify_folder, n_floats):
    speech, texts = heard
    windows, of = {}, {}
    for seed in SEEDS:
        model, params = learned(speech, n_floats, seed, verify_folder / "trained", "tier1_heard")
        found = model.reconstruct(speech.trs[READER], speech.study, params.vector_fit)
        name = f"tier1_heard {seed}"
        windows[name] = found.numpy()
        of[name] = {"system": "tier1_heard", "seed": seed, "floats_per_tr": n_floats}
        of[name]["params_hash"] = params_hash(params)
    rows = judged(speech, READER, windows, texts[READER], of)
    ends = bounded(rows, limits(READER))
    for name, labels in of.items():
        rows += sound_rows(speech.original(READER), windows[name], TR_S, study=READER, **labels)
    scored_of(f"heard_{n_floats}", rows)
    for measure in WORDS:
        words = [row["value"] for row in rows if row["metric"] == measure]
        assert len(words) == len(SEEDS)
        assert np.mean(words) > 0.6 * ends["round trip", measure]
    assert "whisper-tiny.en" not in JUDGES
