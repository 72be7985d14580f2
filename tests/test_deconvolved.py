"""Activity in the place of BOLD: learned beside its stimulus, scored in unseen time."""

from dataclasses import replace

import numpy as np
import pytest
from planted import order_study

from subtr.bold_params import BoldParams
from subtr.deconvolved import deconvolved_study
from subtr.errors import SettingsError
from subtr.params import validate
from subtr.prediction import predict_bold

STUDY = order_study(n_trs=240)
SPLIT = STUDY.splits(2, gap_s=24.0, validation_fraction=0.15)[0]
# What `order_study` planted: the first draw of its seed.
RISES = np.random.default_rng(0).choice([-1.0, 1.0], 240)
TINY = {
    "stream": {
        "encoder": {"name": "linear", "hidden_dim": 4},
        "aggregator": {"name": "kernels", "n_kernels": 2},
    },
    "readout": {"vector_dim": 2},
    "training": {"max_epochs": 60, "check_every_epochs": 10, "learning_rate": 0.02},
}


def test_a_predictor_learns_activity_without_a_response_and_finds_what_was_planted(tmp_path):
    study = deconvolved_study(STUDY, SPLIT, 1)
    assert study.hrf_applied
    assert study.bold_lag_s == 0
    params = validate(BoldParams, TINY, "system.yaml")
    found, _ = predict_bold(study, [SPLIT], params, 1, tmp_path, 0, "toy")
    r = np.corrcoef(found["mean"][SPLIT.test].T, RISES[SPLIT.test])[-1, :3]
    assert r[0] > 0.9
    assert r[2] < -0.9
    delayed = validate(BoldParams, TINY | {"readout": {"response": "canonical"}}, "system.yaml")
    with pytest.raises(SettingsError, match="double shifting"):
        predict_bold(study, [SPLIT], delayed, 1, tmp_path / "delayed", 0, "toy")


def test_activity_of_training_knows_nothing_of_held_out_bold():
    bold = {name: of.copy() for name, of in STUDY.bold.items()}
    outside = np.setdiff1d(np.arange(240), SPLIT.train)
    for of in bold.values():
        of[outside] = of[outside][::-1] * 3 + 1
    one = deconvolved_study(STUDY, SPLIT, 1)
    other = deconvolved_study(replace(STUDY, bold=bold), SPLIT, 1)
    for subject in STUDY.subjects:
        np.testing.assert_allclose(one.bold[subject][SPLIT.train], other.bold[subject][SPLIT.train])


def test_bold_that_was_shifted_has_no_response_to_undo():
    with pytest.raises(SettingsError, match=r"no response left to deconvolve"):
        deconvolved_study(replace(STUDY, hrf_applied=True), SPLIT)
