"""Real speech: does the learned system keep more of a TR than PCA of the same size?"""

import numpy as np
import pytest
import torch

from subtr.baselines import mean_rival
from subtr.clock import Clock
from subtr.datasets.recordings import load_speech
from subtr.experiment_params import SystemParams
from subtr.items import consecutive
from subtr.metrics import block_bootstrap, preservation_sums, temporal_preservation
from subtr.models import Part
from subtr.params import load_params, params_folder, params_hash
from subtr.perturbation import perturbed
from subtr.reconstruction import reconstruct_sound
from subtr.scoring import block_trs, sound_rows
from subtr.splits import Split
from subtr.study import Fold, Study
from subtr.training_windows import fit_pca

SEEDS = (0, 1, 2)
TR_S = 1.5
N_VALIDATION = 16

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


def trained(speech, params, n_floats, system, folder):
    """Test windows and tidy rows of each seed."""
    study, split = speech
    labels = {"study": "speech", "system": system, "floats_per_tr": n_floats}
    labels |= {"params_hash": params_hash(params), "modality": "sound"}
    found_of, rows = [], []
    for seed in SEEDS:
        # Fitting comes after training, so both share its weights.
        weights = params_hash(params.of_weights())
        place = folder / f"{system}_{n_floats}" / f"seed{seed}_{weights}"
        said = f"speech, {system}, {n_floats} floats, seed {seed}"
        found, history = reconstruct_sound(
            Fold(study, split, params.of_size(n_floats), place, seed, said)
        )
        of = labels | {"seed": seed}
        rows += sound_rows(study.mel[split.test], found, TR_S, **of)
        spent_s = history.attrs["training time_s"]
        rows.append(of | {"metric": "training time_s", "value": spent_s})
        found_of.append(found)
    return found_of, rows


def gains(original, found_of, rival_of, **labels):
    """A row a seed: what a system keeps more than its rival of the same TRs, with its interval."""
    rows = []
    for seed, found, rival in zip(SEEDS, found_of, rival_of, strict=True):
        value, low, high = _gain(original, found, rival)
        row = {"value": value, "low": low, "high": high, "floor": 0.0, "modality": "sound"}
        rows.append({"study": "speech", "seed": seed} | labels | row)
    return rows


@pytest.mark.parametrize("n_floats", [64, 128, 256, 512])
def test_tier_1_keeps_more_than_pca(speech, scored_of, verify_folder, n_floats):
    study, split = speech
    params = tier_1()
    original = study.mel[split.test]
    labels = {"study": "speech", "floats_per_tr": n_floats, "seed": 0}
    # PCA may learn from the validation TRs too, which tier 1 only chooses its weights by.
    everything = consecutive(np.arange(split.test[0]), study.run_of_tr)
    mel = torch.from_numpy(study.mel)
    plain = fit_pca(mel, everything, n_floats).reconstruct(original)
    copies = perturbed(mel, everything, params.perturbation)
    rival = fit_pca(*copies, n_floats).reconstruct(original)
    averaged = mean_rival(original)
    found_of, rows = trained(speech, params, n_floats, "tier1", verify_folder / "trained")
    rows += sound_rows(original, plain, TR_S, system="PCA", **labels)
    rows += sound_rows(original, rival, TR_S, system="PCA, copies too", **labels)
    rows += sound_rows(original, averaged, TR_S, system="mean", **labels)
    of = {"system": "tier1", "floats_per_tr": n_floats, "metric": "gain over PCA"}
    gained = gains(original, found_of, [plain] * len(SEEDS), **of)
    of |= {"metric": "gain over PCA, copies too"}
    gained += gains(original, found_of, [rival] * len(SEEDS), **of)
    scored_of(f"speech_{n_floats}", rows + gained)
    assert abs(temporal_preservation(original, averaged)) < 1e-6
    kept = [temporal_preservation(original, found) for found in found_of]
    assert min(kept) > temporal_preservation(original, rival)
    assert min(row["low"] for row in gained) > 0


def test_what_the_convolutions_before_the_vector_add(speech, scored_of, verify_folder):
    """The ablation: the same system without its multi-scale encoder, at 128 floats."""
    study, split = speech
    # Of what the network gives at once: fitting would make up for what an encoder misses.
    whole = tier_1().model_copy(update={"fit_steps": 0})
    plain = Part(name="linear", hidden_dim=0)
    without = whole.model_copy(
        update={"stream": whole.stream.model_copy(update={"encoder": plain})}
    )
    folder = verify_folder / "trained"
    found_of, _ = trained(speech, whole, 128, "tier1", folder)
    plain_of, rows = trained(speech, without, 128, "tier1, no encoder", folder)
    of = {"system": "tier1", "floats_per_tr": 128, "metric": "gain over no encoder"}
    gained = gains(study.mel[split.test], found_of, plain_of, **of)
    scored_of("speech_ablation", rows + gained)
    # It must at least do no harm.
    assert np.mean([row["value"] for row in gained]) > -0.005


def tier_1():
    return load_params(SystemParams, params_folder("full") / "system_tier1.yaml").sound


def _gain(original, found, rival):
    """What the system keeps more than the rival of the same TRs, and its interval."""
    ours, theirs = preservation_sums(original, found), preservation_sums(original, rival)

    def gain(trs=None):
        return ours.score(trs) - theirs.score(trs)

    n_trs = len(original)
    low, high = block_bootstrap(gain, n_trs, block_trs(n_trs, TR_S))
    return gain(), low, high
