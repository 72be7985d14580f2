"""What systems do to modulation, measured through the trained weights that a run kept."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from planted import low_rank_study

from subtr.experiments.analyses import sound_transfers
from subtr.experiments.data import StudyParams
from subtr.experiments.experiment import Experiment
from subtr.metrics.temporal import averaging_gain
from subtr.training import fit as training

SYSTEM = {
    "sound": {
        "stream": {
            "encoder": {"name": "linear", "hidden_dim": 0},
            "aggregator": {"name": "linear"},
        },
        "start": "pca",
        "floats_per_tr": [4],
        "training": {"max_epochs": 1, "learning_rate": 1.0e-9},
    }
}
# The study's own two rates, and one that it does not have.
RATES_HZ = (np.sqrt(2) / 1.5, np.sqrt(7) / 1.5, 2.3)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer")
    (folder / "system_small.yaml").write_text(yaml.safe_dump(SYSTEM))
    (folder / "system_absent.yaml").write_text(yaml.safe_dump(SYSTEM))
    params = StudyParams(n_folds=3, gap_s=6.0, pca_floats=(4,))
    study = low_rank_study()
    # What belongs to BOLD alone is as long as the study, not as what drives it.
    study = replace(study, confounds={"s1": np.zeros((study.clock.n_trs, 2))})
    return Experiment(study, params, folder / "run", folder)


@pytest.fixture
def trained(experiment, monkeypatch):
    monkeypatch.setenv("SUBTR_PROGRESS", "lines")
    experiment.train("small")
    return experiment


def test_trained_systems_are_driven_by_the_weights_that_were_kept(trained, monkeypatch):
    def refuse(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(training, "_train", refuse)
    found = sound_transfers(trained, ["small", "absent"], RATES_HZ)
    # What was never trained is left out.
    assert list(found) == ["mean", "nearest", "Lanczos", "PCA 4", "small 4"]
    # Started from PCA and left there, so it must do what PCA does.
    np.testing.assert_allclose(found["small 4"].gain, found["PCA 4"].gain, atol=0.02)
    known = averaging_gain(np.array(RATES_HZ), 1.5, 8)
    np.testing.assert_allclose(found["mean"].gain, known, atol=0.02)


def test_rates_that_frames_cannot_carry_are_left_out(trained):
    found = sound_transfers(trained, [], [1.0, 2.0, 50.0])
    assert all(len(of.gain) == 2 for of in found.values())
