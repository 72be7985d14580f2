"""Real speech: does the learned system keep more of a TR than PCA of the same size?"""

import numpy as np
import pytest

from subtr.baselines import PCARival, mean_rival
from subtr.clock import Clock
from subtr.datasets.recordings import load_speech
from subtr.experiment_params import SystemParams
from subtr.metrics import block_bootstrap, preservation_sums, temporal_preservation
from subtr.params import load_params, params_folder, params_hash
from subtr.reconstruction import reconstruct_sound, training_windows
from subtr.scoring import block_trs, sound_rows
from subtr.splits import Split
from subtr.study import Study

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


@pytest.mark.parametrize("n_floats", [64, 128, 512])
def test_tier_1_keeps_more_than_pca(speech, scored_of, verify_folder, n_floats):
    study, split = speech
    params = load_params(SystemParams, params_folder("full") / "system_tier1.yaml").sound
    original = study.mel[split.test]
    labels = {"study": "speech", "floats_per_tr": n_floats, "params_hash": params_hash(params)}
    # PCA may learn from the validation TRs too, which tier 1 only chooses its weights by.
    everything = Split(np.arange(split.test[0]), split.validation, split.test)
    pca = PCARival(n_floats).fit(training_windows(study.mel, study, everything))
    rival = pca.reconstruct(original)
    rows = sound_rows(original, rival, TR_S, system="PCA", seed=0, **labels)
    kept, gains = [], []
    for seed in SEEDS:
        folder = verify_folder / f"speech_{n_floats}" / f"tier1_{seed}_{params_hash(params)}"
        found, history = reconstruct_sound(
            study, split, params, n_floats, folder, seed, f"speech, {n_floats} floats, seed {seed}"
        )
        system = labels | {"system": "tier1", "seed": seed}
        rows += sound_rows(original, found, TR_S, **system)
        spent_s = history.attrs["training time_s"]
        rows.append(system | {"modality": "sound", "metric": "training time_s", "value": spent_s})
        kept.append(temporal_preservation(original, found))
        gains.append(_gain(original, found, rival))
        value, low, high = gains[-1]
        rows.append(
            system
            | {"modality": "sound", "metric": "gain over PCA", "floor": 0.0}
            | {"value": value, "low": low, "high": high}
        )
    averaged = mean_rival(original)
    rows += sound_rows(original, averaged, TR_S, system="mean", **labels)
    scored_of(f"speech_{n_floats}", rows)
    assert abs(temporal_preservation(original, averaged)) < 1e-6
    assert min(kept) > temporal_preservation(original, rival)
    assert min(low for _, low, _ in gains) > 0


def _gain(original, found, rival):
    """What the system keeps more than the rival of the same TRs, and its interval."""
    ours, theirs = preservation_sums(original, found), preservation_sums(original, rival)

    def gain(trs=None):
        return ours.score(trs) - theirs.score(trs)

    n_trs = len(original)
    low, high = block_bootstrap(gain, n_trs, block_trs(n_trs, TR_S))
    return gain(), low, high
