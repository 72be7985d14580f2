"""What was learned on one study reads another; choices are made without the test block."""

import numpy as np
import pytest
from planted import order_study

from benchmarks.alice import chosen_within, read_out, transferred_vectors
from subtr.datasets.study import Fold, folds_of
from subtr.experiments.brain_encoding import tr_vectors
from subtr.metrics.bold import pearson_r
from subtr.metrics.inference import shuffle_frames
from subtr.models.ridge import ridge_features, ridge_prediction
from subtr.params import SettingsError, validate
from subtr.training.encoding_models import bold_stimulus, fit_fold
from subtr.training.systems import BoldParams

PARAMS = {
    "stream": {"encoder": {"name": "linear", "hidden_dim": 4}, "aggregator": {"name": "linear"}},
    "readout": {"vector_dim": 4, "members": 2},
    "training": {"max_epochs": 60, "learning_rate": 1e-2},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A predictor that learned what rises from one study."""
    params, study = validate(BoldParams, PARAMS, "linear"), order_study(seed=0)
    folder = tmp_path_factory.mktemp("first")
    return fit_fold(
        Fold(study, study.splits(4)[0], params, folder, 0, "first", drift_order=0)
    ).predictor, params


@pytest.fixture(scope="module")
def another():
    """Another study of which BOLD is noisy and short."""
    study = order_study(n_trs=160, noise=1.0, seed=5)
    return study, study.splits(4)


def r(found, study):
    return pearson_r(found, study.truth["group"]["signal"]).mean()


def test_order_that_was_learned_elsewhere_predicts(trained, another):
    study, splits = another
    vectors = transferred_vectors(study, splits, *trained, 4.0)
    assert [of.shape for of in vectors] == [(160, 8)] * 4
    assert r(read_out(study, splits, vectors, 0), study) > 0.7
    levels = ridge_prediction(
        folds_of(study, splits, drift_order=0), ridge_features(study)["mean mel"], canonical=True
    )
    assert r(levels, study) < 0.3


def test_shuffled_frames_take_the_order_away(trained, another):
    study, splits = another
    vectors = transferred_vectors(study, splits, *trained, 4.0)
    mixed = transferred_vectors(study, splits, *trained, 4.0, shuffle_frames)
    assert r(read_out(study, splits, vectors, 0, mixed), study) < 0.4
    same = read_out(study, splits, vectors, 0, vectors)
    np.testing.assert_array_equal(same, read_out(study, splits, vectors, 0))


def test_the_better_candidate_is_chosen_without_the_test_block(trained, another):
    study, splits = another
    good = transferred_vectors(study, splits, *trained, 4.0)
    noise = [np.random.default_rng(fold).standard_normal(of.shape) for fold, of in enumerate(good)]
    # Perfect where it is judged, and noise elsewhere: a choice that looked there would take it.
    trap = [of.copy() for of in noise]
    for split, of in zip(splits, trap, strict=True):
        of[split.test] = 10 * good[0][split.test]
    found, names = chosen_within(study, splits, {"noise": noise, "trap": trap, "good": good}, 0)
    assert names == ["good"] * 4
    np.testing.assert_allclose(found, read_out(study, splits, good, 0))


def test_frames_of_another_length_are_refused(trained, another):
    study, splits = another
    with pytest.raises(SettingsError, match=r"4\.0 frames a second.*trained at 8\.0.*with 16"):
        transferred_vectors(study, splits, *trained, 8.0)


def test_vectors_are_of_all_members_and_stay_in_their_run(trained):
    predictor, params = trained
    one = order_study(n_trs=120, n_runs=2)
    stimulus = bold_stimulus(one, one.splits(2)[0], params)
    vectors = tr_vectors(predictor, stimulus, one)
    assert vectors.shape == (120, 8)
    assert np.isfinite(vectors).all()
