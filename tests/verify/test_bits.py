"""Speech in bits before a judge: of the same bits, fewer exact numbers or more rough ones?

2048 bits a TR are 128 numbers of half precision. Each bit of the others goes to the number of the
vector whose rounding error is largest.
"""

import numpy as np
import pytest
import torch
from verify.rounding import CLIP_OF_BITS, allotted_bits, told
from verify.spoken import learned
from verify.test_intelligibility import READER, SEEDS, bounded, heard, judged, limits

from subtr.items import consecutive, window_batches
from subtr.training_windows import fit_pca

__all__ = ["heard", "limits"]

# Bits a TR -> numbers a TR that may share them.
NUMBERS = {1024: 512, 2048: 512, 4096: 512}

pytestmark = pytest.mark.verify


@torch.no_grad()
def rounding(model, speech, bits_per_tr):
    """Vectors -> what is left of them, by the spread that they have in training."""
    stretches = consecutive(speech.split.train, speech.study.run_of_tr)
    tr_s = speech.study.clock.tr_s
    known = torch.cat(
        [
            model.model.stream(batch["frames"], tr_s).flatten(0, 1)
            for batch in window_batches(model.frames, stretches)
        ]
    ).numpy()
    centre, spread = known.mean(0), known.std(0)
    bits = allotted_bits(spread, bits_per_tr)
    clips = np.take(CLIP_OF_BITS, bits)

    def carried(vectors):
        numbers = told((vectors.numpy() - centre) / spread, bits, clips)
        return torch.from_numpy((numbers * spread + centre).astype(np.float32))

    return carried


def rounded_pca(speech, n_floats, bits_per_tr):
    """The reader's TRs from as many components that share as many bits."""
    known = consecutive(np.arange(speech.split.test[0]), speech.study.run_of_tr)
    pca = fit_pca(torch.from_numpy(speech.study.mel), known, n_floats)
    original = speech.original(READER)
    bits = allotted_bits(pca.deviations, bits_per_tr)
    numbers = told(pca.encode(original) / pca.deviations, bits, np.take(CLIP_OF_BITS, bits))
    flat = pca.mean + (numbers * pca.deviations) @ pca.components
    return flat.reshape(original.shape).astype(np.float32)


@pytest.mark.parametrize("bits_per_tr", NUMBERS)
def test_words_by_bits(heard, limits, scored_of, verify_folder, bits_per_tr):
    speech, texts = heard
    n_floats, windows, of = NUMBERS[bits_per_tr], {}, {}
    for seed in SEEDS:
        model, params = learned(speech, n_floats, seed, verify_folder / "trained")
        carried = rounding(model, speech, bits_per_tr)
        found = model.reconstruct(speech.trs[READER], speech.study, params.vector_fit, carried)
        windows[f"rounded {seed}"] = found.numpy()
        system = f"tier1, {bits_per_tr} bits"
        of[f"rounded {seed}"] = {"system": system, "seed": seed, "floats_per_tr": n_floats}
    windows["PCA"] = rounded_pca(speech, n_floats, bits_per_tr)
    of["PCA"] = {"system": f"PCA, {bits_per_tr} bits", "seed": 0, "floats_per_tr": n_floats}
    rows = judged(speech, READER, windows, texts[READER], of)
    ends = bounded(rows, limits(READER))
    scored_of(f"heard_bits_{bits_per_tr}", rows)
    words = [
        row["value"]
        for row in rows
        if row["metric"] == "ASR accuracy" and row["system"].startswith("tier1")
    ]
    assert np.mean(words) > ends["mean", "ASR accuracy"]
