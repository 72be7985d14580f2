"""Activity in the place of BOLD: learned beside its stimulus, scored in unseen time."""

from dataclasses import replace

import numpy as np
import pytest
from planted import after_hrf, order_study

from subtr.datasets.held_out import bold_of_activity, deconvolved_study, labelled_bold
from subtr.datasets.study import Fold, folds_of
from subtr.params import SettingsError, validate
from subtr.training.encoding_models import bold_timeline, fit_fold, predict_bold
from subtr.training.systems import BoldParams

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


UNDONE = TINY | {"deconvolve": {"method": "wiener"}}


def params(**changes):
    return validate(BoldParams, UNDONE | changes, "system.yaml")


def activity_of(study):
    return deconvolved_study(Fold(study, SPLIT, params(), drift_order=1))


def test_a_predictor_learns_activity_without_a_response_and_finds_what_was_planted(tmp_path):
    study = activity_of(STUDY)
    assert study.hrf_applied
    assert study.bold_lag_s == 0
    plain = validate(BoldParams, TINY, "system.yaml")
    folds = folds_of(study, [SPLIT], tmp_path, "toy", params=plain, drift_order=1)
    found, _ = predict_bold(folds)
    r = np.corrcoef(found["mean"][SPLIT.test].T, RISES[SPLIT.test])[-1, :3]
    assert r[0] > 0.9
    assert r[2] < -0.9
    delayed = validate(BoldParams, TINY | {"readout": {"response": "canonical"}}, "system.yaml")
    with pytest.raises(SettingsError, match="double shifting"):
        predict_bold([folds[0].using(params=delayed, folder=tmp_path / "delayed")])


def test_a_params_file_asks_for_it_and_what_is_predicted_is_measured_bold(tmp_path):
    (fold,) = folds_of(STUDY, [SPLIT], tmp_path, "toy", params=params(), drift_order=1)
    found, _ = predict_bold([fold])
    test, truth = SPLIT.test, STUDY.truth["group"]["signal"]

    def r_of(prediction):
        return np.array([np.corrcoef(prediction[test, i], truth[test, i])[0, 1] for i in range(3)])

    # What was measured lags what was planted, so the activity itself would score low.
    assert r_of(found["mean"]).min() > 0.9
    assert np.abs(r_of(np.stack([RISES, RISES, -RISES], axis=1))).max() < 0.7
    own = labelled_bold(fold, SPLIT.train)[1]
    left = np.square(own - found["calibrated"])[test].mean(0) / np.square(own[test]).mean(0)
    assert left.max() < 0.4
    again = fit_fold(fold)  # read from its folder
    (head,) = bold_timeline(again.predictor, again.stimulus, STUDY).values()
    np.testing.assert_allclose(head[test], found["mean"][test])


def test_bold_of_activity_is_the_response_to_it_and_stays_within_its_run():
    rng, runs = np.random.default_rng(0), np.repeat([0, 1], 40)
    activity = rng.normal(size=(80, 2))
    bold = bold_of_activity(activity, 2.0, "spm", runs)
    for run in (0, 1):
        np.testing.assert_allclose(bold[runs == run], after_hrf(activity[runs == run], 2.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"readout": {"response": "fir"}}, "readout.response = 'fir': expected none with deconv"),
        ({"new_subjects": {}}, "new_subjects: expected none with deconvolve"),
        ({"label_fraction": 0.5}, "label_fraction = 0.5: expected 1 with deconvolve"),
        ({"deconvolve": {"method": "inverse"}}, "deconvolve.method = 'inverse'"),
    ],
)
def test_what_deconvolution_does_not_go_with_is_named(changes, message):
    with pytest.raises(SettingsError, match=message):
        params(**changes)


def test_a_teacher_of_bold_does_not_teach_activity(tmp_path):
    student = params(teacher={"teacher": "large"})
    teacher = Fold(STUDY, SPLIT, validate(BoldParams, TINY, "system.yaml"), tmp_path / "large")
    with pytest.raises(SettingsError, match="'large': expected the student's deconvolve"):
        fit_fold(Fold(STUDY, SPLIT, student, tmp_path, teacher=teacher))


def test_activity_of_training_knows_nothing_of_held_out_bold():
    bold = {name: of.copy() for name, of in STUDY.bold.items()}
    outside = np.setdiff1d(np.arange(240), SPLIT.train)
    for of in bold.values():
        of[outside] = of[outside][::-1] * 3 + 1
    one, other = activity_of(STUDY), activity_of(replace(STUDY, bold=bold))
    for subject in STUDY.subjects:
        np.testing.assert_allclose(one.bold[subject][SPLIT.train], other.bold[subject][SPLIT.train])


def test_bold_that_was_shifted_has_no_response_to_undo():
    with pytest.raises(SettingsError, match=r"no response left to deconvolve"):
        activity_of(replace(STUDY, hrf_applied=True))
