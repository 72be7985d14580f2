"""Real speech in bits: what do coarse and fine codes keep of a TR, beside PCA of the same bits?"""

import numpy as np
import pytest
import torch
from verify.rounding import CLIP_OF_BITS, allotted_bits, told

from subtr.baselines import mean_rival
from subtr.clock import Clock
from subtr.datasets.recordings import load_speech
from subtr.items import consecutive
from subtr.metrics import block_bootstrap, preservation_sums, temporal_preservation
from subtr.params import params_hash, validate
from subtr.quantised import QuantisedParams
from subtr.quantised_training import reconstruct_quantised
from subtr.scoring import block_trs, sound_rows
from subtr.splits import Split
from subtr.study import Fold, Study
from subtr.training_windows import fit_pca

SEEDS = (0, 1, 2)
TR_S = 1.5
N_VALIDATION = 16
# Numbers a TR and bits a number that the plain rival may choose from, on validation TRs.
SIZES = (8, 16, 24, 32, 48, 64, 96, 128)
CLIPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
SETTINGS = {
    "coarse alone": {"n_fine": 0},
    "coarse and 1 fine": {"n_fine": 1},
    "coarse and 2 fine": {"n_fine": 2},
}

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def speech(data_dir):
    """100 utterances to learn from, 16 others to judge by, and how they are split."""
    windows = load_speech(data_dir / "speech" / "hifi_6097", tr_s=TR_S)
    n_train, n_test = len(windows.train), len(windows.test)
    mel = np.concatenate([windows.train, windows.test])
    run_of_tr = np.repeat([0, 1], [n_train, n_test])
    study = Study("speech", Clock(TR_S, len(mel)), mel=mel, run_of_tr=run_of_tr)
    edge = n_train - N_VALIDATION
    trs = np.arange(len(mel))
    return study, Split(trs[:edge], trs[edge:n_train], trs[n_train:])


@pytest.fixture(scope="module")
def components(speech):
    """PCA of the training TRs, to choose by; and of these with the validation TRs, to be judged."""
    study, split = speech
    everything = Split(np.arange(split.test[0]), split.validation, split.test)
    return [
        fit_pca(torch.from_numpy(study.mel), consecutive(part.train, study.run_of_tr), max(SIZES))
        for part in (split, everything)
    ]


def quantised_pca(pca, windows, bits, clips):
    """Windows from the first components, each told by its bits, see `told`."""
    deviations = pca.deviations[: len(bits)]
    numbers = told(pca.encode(windows)[:, : len(bits)] / deviations, bits, clips)
    flat = pca.mean + (numbers * deviations) @ pca.components[: len(bits)]
    return flat.reshape(windows.shape).astype(np.float32)


def uniform(components, speech, bits_per_tr):
    """The plain rival: N numbers of b bits each, the best N and b on validation TRs."""
    study, split = speech
    validation = study.mel[split.validation]
    best = max(
        (temporal_preservation(validation, quantised_pca(components[0], validation, *of)), of)
        for size in SIZES
        for b in range(1, 9)
        if 0.9 * bits_per_tr < size * b <= bits_per_tr
        for clip in CLIPS
        for of in [([b] * size, [clip] * size)]
    )
    return quantised_pca(components[1], study.mel[split.test], *best[1]), len(best[1][0])


def allotted(components, speech, bits_per_tr):
    """The harder rival: each bit goes to the component whose error is largest."""
    study, split = speech
    bits = allotted_bits(components[1].deviations, bits_per_tr)
    clips = np.take(CLIP_OF_BITS, bits)
    return quantised_pca(components[1], study.mel[split.test], bits, clips), int((bits > 0).sum())


def settings(name):
    quantiser = {"n_coarse": 4, "fine_frames": 8, "dead_below": 0.0005} | SETTINGS[name]
    values = {
        "stream": {"encoder": {"name": "linear", "hidden_dim": 0}},
        "decoder": {"name": "refined", "hidden_dim": 32, "depth": 2},
        "quantiser": quantiser,
        "vector_dim": 32,
        "fine_dim": 32,
        "start": "pca",
        "batch_size": 16,
        "training": {"max_epochs": 12, "check_every_epochs": 4, "learning_rate": 2e-3},
    }
    values["stream"]["aggregator"] = {"name": "linear"}
    return validate(QuantisedParams, values, name)


def gain(original, found, rival, **labels):
    """A row: what codes keep more than a rival of the same TRs, with its interval."""
    ours, theirs = preservation_sums(original, found), preservation_sums(original, rival)

    def of(trs=None):
        return ours.score(trs) - theirs.score(trs)

    n_trs = len(original)
    low, high = block_bootstrap(of, n_trs, block_trs(n_trs, TR_S))
    row = {"value": of(), "low": low, "high": high, "floor": 0.0, "modality": "sound"}
    return labels | row


@pytest.mark.parametrize("name", SETTINGS)
def test_quality_at_a_rate(speech, components, scored_of, verify_folder, name):
    study, split = speech
    original, params = study.mel[split.test], settings(name)
    bits_per_tr = params.quantiser.bits_per_tr
    labels, coded = {"study": "speech"}, f"codes, {bits_per_tr} bits"
    rows, kept, rivals = [], [], {}
    for how, rival_of in (("uniform", uniform), ("allotted", allotted)):
        system = f"PCA, {bits_per_tr} bits, {how}"
        rivals[system], n_floats = rival_of(components, speech, bits_per_tr)
        of = labels | {"system": system, "seed": 0, "floats_per_tr": n_floats}
        rows += sound_rows(original, rivals[system], TR_S, **of)
    averaged = mean_rival(original)
    rows += sound_rows(original, averaged, TR_S, system="mean", seed=0, **labels)
    for seed in SEEDS:
        place = (
            verify_folder / "trained" / f"quantised {name}" / f"seed{seed}_{params_hash(params)}"
        )
        found = reconstruct_quantised(
            Fold(study, split, params, place, seed, f"{name}, seed {seed}")
        )
        of = labels | {"seed": seed, "params_hash": params_hash(params)}
        rows += sound_rows(original, found.whole, TR_S, system=coded, **of)
        whole, coarse = (temporal_preservation(original, part) for part in found[:2])
        kept.append((whole, coarse))
        said = of | {"system": coded, "modality": "sound"}
        rows.append(said | {"metric": "temporal preservation, coarse codes", "value": coarse})
        spent_s = found.history.attrs["training time_s"]
        rows.append(said | {"metric": "training time_s", "value": spent_s})
        for system, rival in rivals.items():
            against = said | {"metric": f"gain over {system}"}
            rows.append(gain(original, found.whole, rival, **against))
    file = scored_of(f"quantised_{bits_per_tr}_bits", rows)
    for system, rival in rivals.items():
        print(f"\n{system}: {temporal_preservation(original, rival):.3f}")
    print(f"{coded}, {name}: {[f'{w:.3f} (coarse {c:.3f})' for w, c in kept]}; {file}")
    assert abs(temporal_preservation(original, averaged)) < 1e-6
    for whole, coarse in kept:
        assert coarse > 0.5
        assert whole > coarse + 0.05 if params.quantiser.n_fine else whole == coarse
