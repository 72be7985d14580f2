"""What a study may carry beside sound and BOLD: features by frame, confounds, a stimulus a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import order_study

from subtr.datasets.held_out import cleaned_bold
from subtr.datasets.study import folds_of
from subtr.models.ridge import ridge_features
from subtr.models.stream import Part, StreamParams
from subtr.params import SettingsError, StudyError, validate
from subtr.training.encoding_models import bold_predictor, predict_bold, standardised_frames
from subtr.training.fit import TrainingParams
from subtr.training.systems import BoldParams


def annotated(**options):
    """The planted study, told by features rather than by sound."""
    heard = order_study(**options)
    names = ("a", "b", "c", "d")
    return replace(heard, mel=None, features=heard.mel, feature_names=names)


def test_features_stand_in_for_sound_and_are_scaled_on_training_trs():
    study = annotated()
    split = study.splits(n_folds=3)[1]
    frames = standardised_frames(study, split, n_bands=2).numpy()
    assert frames.shape == study.features.shape  # ranges of bands are of sound alone
    known = frames[split.train]
    np.testing.assert_allclose(known.mean((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(known.std((0, 1)), 1, atol=1e-4)
    others = replace(study, features=np.where(np.isin(np.arange(260), split.train)[:, None, None],
                                              study.features, study.features * 9))  # fmt: skip
    np.testing.assert_array_equal(standardised_frames(others, split).numpy()[split.train], known)


def test_sound_is_shown_where_there_is_both():
    both = replace(order_study(), features=np.zeros((260, 8, 1), np.float32), feature_names=("x",))
    assert both.frames is both.mel
    stream = StreamParams(aggregator=Part(name="conv"))
    predictor = bold_predictor(both, BoldParams(stream=stream))
    assert predictor.vectors(standardised_frames(both, both.splits(3)[0])[None]).shape[2] == 260
    assert set(ridge_features(both)) == {"mean mel", "sound power", "onset flux", "mean features"}


def both(**options):
    """Sound that tells nothing, and features that tell all."""
    told = annotated(**options)
    noise = np.random.default_rng(9).normal(size=(*told.features.shape[:2], 6))
    return replace(told, mel=noise.astype(np.float32))


def test_features_stand_behind_the_bands_of_sound_where_they_are_asked_for():
    study = both()
    split = study.splits(n_folds=3)[1]
    frames = standardised_frames(study, split, n_bands=3, features=True).numpy()
    assert frames.shape[-1] == 3 + 4
    sound = standardised_frames(study, split, n_bands=3).numpy()
    told = standardised_frames(replace(study, mel=None), split).numpy()
    np.testing.assert_array_equal(frames[..., :3], sound)
    np.testing.assert_allclose(frames[..., 3:], told, atol=1e-6)
    with pytest.raises(SettingsError, match=r"features = true: .* has none. Give its study file"):
        standardised_frames(order_study(), split, features=True)


@pytest.mark.parametrize("shown", [True, False])
def test_a_predictor_of_sound_learns_from_features_only_if_it_is_shown_them(tmp_path, shown):
    study = both(n_trs=200, noise=0.1)
    stream = StreamParams(
        encoder=Part(name="linear", hidden_dim=8), aggregator=Part(name="kernels", n_kernels=2)
    )
    training = TrainingParams(max_epochs=40, learning_rate=0.01)
    params = BoldParams(stream=stream, training=training, n_bands=2, features=shown)
    split = study.splits(n_folds=3)[:1]
    found, _ = predict_bold(
        folds_of(study, split, tmp_path, "planted", params=params, seed=0, drift_order=1)
    )
    test = split[0].test
    r = np.corrcoef(found["mean"][test, 0], study.truth["group"]["signal"][test, 0])[0, 1]
    assert r > 0.7 if shown else r < 0.5


def test_features_may_be_what_pre_training_draws(tmp_path):
    study = both(n_trs=120)
    draws = {"target": "features", "patch_frames": 4, "batches_per_epoch": 2}
    settings = {
        "stream": {"aggregator": {"name": "conv"}},
        "pretraining": draws | {"training": {"max_epochs": 2}},
        "training": {"max_epochs": 2},
    }
    params = validate(BoldParams, settings, "bold")
    split = study.splits(n_folds=3)[:1]
    predict_bold(folds_of(study, split, tmp_path, "planted", params=params, seed=0, drift_order=1))
    kept = torch.load(next(tmp_path.rglob("member0/best.ckpt")), weights_only=True)["state_dict"]
    assert kept["model.frames.weight"].shape[0] == 4
    with pytest.raises(SettingsError, match="lacks sound or features"):
        predict_bold(
            folds_of(
                order_study(n_trs=120),
                split,
                tmp_path / "none",
                "planted",
                params=params,
                seed=0,
                drift_order=1,
            )
        )
    with pytest.raises(SettingsError, match="expected features = false with it"):
        validate(BoldParams, settings | {"features": True}, "bold")


def test_order_within_a_tr_is_learned_from_features(tmp_path):
    study = annotated(n_trs=200, noise=0.1)
    stream = StreamParams(
        encoder=Part(name="linear", hidden_dim=8), aggregator=Part(name="kernels", n_kernels=2)
    )
    training = TrainingParams(max_epochs=40, learning_rate=0.01)
    params = BoldParams(stream=stream, training=training)
    split = study.splits(n_folds=3)[:1]
    found, _ = predict_bold(
        folds_of(study, split, tmp_path, "planted", params=params, seed=0, drift_order=1)
    )
    test = split[0].test
    r = np.corrcoef(found["mean"][test, 0], study.truth["group"]["signal"][test, 0])[0, 1]
    # The mean of each TR is noise, so whoever averages stays at 0.
    assert r > 0.8


def test_names_and_lengths_of_features_are_checked():
    study = annotated()
    with pytest.raises(StudyError, match="4 features, 1 names of features"):
        replace(study, feature_names=("a",))
    with pytest.raises(StudyError, match="features has 259 TRs"):
        replace(study, features=study.features[1:])
    with pytest.raises(StudyError, match="confounds of s1 has 100 TRs"):
        replace(study, confounds={"s1": np.zeros((100, 2))})


def test_confounds_are_regressed_out_by_weights_of_the_training_trs():
    study = order_study(noise=0.5)
    moved = np.random.default_rng(1).normal(size=(260, 1)).cumsum(axis=0)
    bold = study.bold | {"s1": study.bold["s1"] + 10 * moved}
    split = study.splits(n_folds=3)[0]
    still = replace(study, bold=bold, confounds={"s1": moved})
    wanted, found = (cleaned_bold(of, split, 1)[0]["s1"][split.test] for of in (study, still))
    plain = cleaned_bold(replace(study, bold=bold), split, 1)[0]["s1"][split.test]
    for parcel in range(3):
        assert np.corrcoef(wanted[:, parcel], found[:, parcel])[0, 1] > 0.95
        assert np.corrcoef(wanted[:, parcel], plain[:, parcel])[0, 1] < 0.7
    # What is in the test TRs has no say: the planted fault would give it one.
    louder = bold | {"s1": bold["s1"].copy()}
    louder["s1"][split.test] *= 100
    cleaned = cleaned_bold(replace(still, bold=louder), split, 1)[0]["s1"]
    again = cleaned_bold(still, split, 1)[0]["s1"]
    np.testing.assert_allclose(cleaned[split.train], again[split.train])


def test_each_run_has_its_own_stimulus():
    study = order_study(n_trs=100, n_runs=2, tr_s=2.0)
    assert study.stimulus_at(7) == (None, 14.0)
    a, b = Path("a.mp4"), Path("b.mp4")
    two = replace(study, run_stimuli=((a, -4.0), (b, 10.0)))
    assert two.stimulus_at(3) == (a, 2.0)
    assert two.stimulus_at(49) == (a, 94.0)
    assert two.stimulus_at(50) == (b, 10.0)
    assert two.stimulus_at(53) == (b, 16.0)
