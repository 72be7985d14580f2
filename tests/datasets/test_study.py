"""A study refuses what does not fit together, and its splits do not leak."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from leaks import assert_fitted_on_train, assert_no_leak
from planted import order_study

from subtr.datasets.held_out import cleaned_bold
from subtr.datasets.study import Study, folds_of, with_speech_features
from subtr.experiments.experiment import Experiment
from subtr.models.ridge import ridge_features
from subtr.models.stream import Part, StreamParams
from subtr.params import SettingsError, StudyError, StudyWarning, validate
from subtr.stimulus.speech import FrameGrid, SpeechFeatureParams, SpeechModel
from subtr.timeline import HRF_DURATION_S, Clock, Split, block_splits
from subtr.training.encoding_models import bold_predictor, predict_bold, standardised_frames
from subtr.training.fit import TrainingParams
from subtr.training.systems import BoldParams

PARCELS = pd.DataFrame({"tuning": ["A1", "V1"]}, index=["left", "right"])


def study(bold, n_trs=100, **options):
    return Study("toy", Clock(1.5, n_trs), bold={"s1": bold}, parcels=PARCELS, **options)


def noise(n_trs=100, n_parcels=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n_trs, n_parcels))


@pytest.mark.parametrize(("n_trs", "word"), [(90, "shorter"), (110, "longer")])
def test_bold_of_another_length_names_both_lengths(n_trs, word):
    with pytest.raises(StudyError, match=rf"{n_trs} TRs \({n_trs * 1.5:g} s\), {word}.*100 TRs"):
        study(noise(n_trs))


def test_wrong_tr_is_recognised_from_the_lengths():
    # 150 s of stimulus taken at TR 1.5 s, but 75 volumes: they were 2 s long.
    with pytest.raises(StudyError, match=r"the TR is 2 s"):
        study(noise(75))


def test_other_number_of_parcels_is_refused():
    with pytest.raises(StudyError, match="3 parcels, the parcel table 2"):
        study(noise(n_parcels=3))


def test_regressor_of_another_length_is_refused():
    with pytest.raises(StudyError, match="regressor words has 40 TRs"):
        study(noise(), regressors={"words": np.zeros((40, 1))})


def test_constant_parcel_is_masked_and_named():
    bold = noise()
    bold[:, 1] = 7.0
    with pytest.warns(StudyWarning, match=r"s1 has no variation in 1 of 2 parcels \(right\)"):
        made = study(bold)
    assert np.isnan(made.bold["s1"][:, 1]).all()
    np.testing.assert_array_equal(made.bold["s1"][:, 0], bold[:, 0])


def test_missing_volumes_are_masked_and_named():
    bold = noise()
    bold[3:5, 0] = np.nan
    bold[7, 0] = np.inf
    with pytest.warns(StudyWarning, match=r"missing \(NaN\) volumes in 1 of 2 parcels \(left\)"):
        made = study(bold)
    assert np.flatnonzero(np.isnan(made.bold["s1"][:, 0])).tolist() == [3, 4, 7]


def test_group_mean_leaves_masked_subjects_out():
    good, flat = noise(), np.ones((100, 2))
    with pytest.warns(StudyWarning):
        made = Study("toy", Clock(1.5, 100), bold={"a": good, "b": flat}, parcels=PARCELS)
    z = (good - good.mean(0)) / good.std(0)
    np.testing.assert_allclose(made.group_mean(), z)


@given(
    n_trs=st.integers(300, 900),
    tr_s=st.sampled_from([1.0, 1.49, 1.5, 2.0]),
    n_folds=st.integers(2, 8),
    gap_s=st.sampled_from([0.0, 16.0, 24.0]),
    validation_fraction=st.sampled_from([0.0, 0.1, 0.2]),
    n_runs=st.integers(1, 3),
)
def test_splits_never_leak_and_test_every_tr_once(
    n_trs, tr_s, n_folds, gap_s, validation_fraction, n_runs
):
    run_of_tr = np.arange(n_trs) * n_runs // n_trs
    splits = block_splits(run_of_tr, tr_s, n_folds, gap_s, validation_fraction)
    tested = np.concatenate([split.test for split in splits])
    assert tested.tolist() == list(range(n_trs))
    for split in splits:
        assert_no_leak(split, tr_s, gap_s, run_of_tr)
        assert len(split.validation) == round(validation_fraction * n_trs)
        # At most three gaps, one more pair where the blocks wrap around, are lost.
        lost = n_trs - len(split.train) - len(split.validation) - len(split.test)
        assert lost <= 4 * np.ceil(gap_s / tr_s)


def test_planted_split_without_gap_is_caught():
    leaky = Split(np.arange(0, 60), np.arange(80, 90), np.arange(60, 64))
    with pytest.raises(StudyError, match="leak: train TR 59 and test TR 60 are 0 s apart"):
        assert_no_leak(leaky, 1.5, HRF_DURATION_S)


def test_planted_shared_tr_is_caught_even_without_a_gap():
    shared = Split(np.arange(0, 61), np.arange(80, 90), np.arange(60, 64))
    with pytest.raises(StudyError, match="leak"):
        assert_no_leak(shared, 1.5, 0.0)


def test_planted_statistics_of_all_data_are_caught():
    def scaled_by_all(values, split):
        return (values - values.mean(0)) / values.std(0)

    def scaled_by_train(values, split):
        return (values - values[split.train].mean(0)) / values[split.train].std(0)

    split = study(noise(400), n_trs=400).splits()[2]
    assert_fitted_on_train(scaled_by_train, noise(400), split)
    with pytest.raises(StudyError, match="fitted on all data"):
        assert_fitted_on_train(scaled_by_all, noise(400), split)


def test_too_short_a_study_says_so():
    with pytest.raises(StudyError, match="nothing to train on"):
        study(noise(20), n_trs=20).splits(2)


@pytest.mark.parametrize(
    "options", [{"n_folds": 1}, {"gap_s": -1.0}, {"validation_fraction": 0.95}]
)
def test_impossible_splits_are_refused(options):
    with pytest.raises(SettingsError):
        study(noise()).splits(**options)


def test_folds_are_the_splits_with_their_study():
    made = study(noise(200), n_trs=200)
    folds = made.folds(4, drift_order=3)
    for fold, split in zip(folds, made.splits(4), strict=True):
        for part in ("train", "validation", "test"):
            np.testing.assert_array_equal(getattr(fold, part), getattr(split, part))
        assert fold.study is made
        assert fold.drift_order == 3
        assert_no_leak(fold.split, 1.5, HRF_DURATION_S)
        assert not set(fold.known) & set(fold.test)
        assert len(fold.known) == len(fold.train) + len(fold.validation)
        assert (np.diff(fold.known) > 0).all()
    np.testing.assert_array_equal(np.concatenate([fold.test for fold in folds]), np.arange(200))


def test_fold_with_another_seed_leaves_the_first_as_it_was():
    fold = study(noise(200), n_trs=200).folds(4)[1]
    other = fold.using(seed=7, label="again")
    assert (fold.seed, fold.label) == (0, "toy, fold 1")
    assert (other.seed, other.label) == (7, "again")
    assert other.split is fold.split
    assert "'again'" in repr(other)
    assert f"{len(fold.train)} train" in repr(other)
    with pytest.raises(TypeError, match="seeds"):
        fold.using(seeds=7)


def test_each_split_has_a_folder_of_its_own_and_all_share_the_rest(tmp_path):
    made = study(noise(200), n_trs=200)
    folds = folds_of(made, made.splits(2), tmp_path, "toy,", seed=3)
    assert [fold.folder for fold in folds] == [tmp_path / "fold0", tmp_path / "fold1"]
    assert [fold.label for fold in folds] == ["toy, fold 0", "toy, fold 1"]
    assert [fold.seed for fold in folds] == [3, 3]
    assert folds_of(made, made.splits(2))[0].folder is None


# What a study may carry beside sound and BOLD: features by frame, confounds, a stimulus a run.


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


# A study hears what a speech model hears, run by run, beside what it has.


RATE_HZ = 16_000
PARAMS = SpeechFeatureParams(model="loudness")


class Loudness(SpeechModel):
    """The level of each frame, and its negative."""

    name, supervised, digest = "loudness", True, "1"
    grid = FrameGrid(RATE_HZ, 160, 160)

    def features(self, sound):
        level = sound[: len(sound) // 160 * 160].reshape(-1, 160).mean(1)
        return np.stack([level, -level], axis=1).astype(np.float32)


@pytest.fixture(autouse=True)
def _loudness(monkeypatch, tmp_path):
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("subtr.datasets.study.open_speech_model", lambda model, layer: Loudness())


def ramp(path, start):
    """As loud as the seconds that have passed, over 100, from ``start`` on."""
    sound = start + np.arange(20 * RATE_HZ) / RATE_HZ / 100
    soundfile.write(path, sound.astype(np.float32), RATE_HZ, subtype="FLOAT")
    return path


def test_features_of_the_model_come_beside_those_that_are_there(tmp_path):
    clock = Clock(1.5, 6, 1.0, frames_per_tr=8)
    noted = np.ones((6, 8, 1), np.float32)
    study = Study(
        "s", clock, media=ramp(tmp_path / "a.wav", 0), features=noted, feature_names=("noted",)
    )
    heard = with_speech_features(study, PARAMS)
    assert heard.feature_names == ("noted", "loudness 0", "loudness 1")
    np.testing.assert_array_equal(heard.features[..., 0], 1)
    np.testing.assert_allclose(heard.features[..., 1] * 100, clock.frame_times_s(), atol=1e-3)
    assert "layer -1, learned from transcribed speech (supervised)" in heard.notes[-1]


def test_each_run_is_heard_from_its_own_file(tmp_path):
    files = [ramp(tmp_path / f"{name}.wav", start) for name, start in (("a", 0), ("b", 0.5))]
    study = Study(
        "s",
        Clock(2.0, 7, frames_per_tr=4),
        run_of_tr=np.repeat([0, 1], [3, 4]),
        run_stimuli=((files[0], 1.0), (files[1], 5.0)),
    )
    found = with_speech_features(study, PARAMS).features[..., 0] * 100
    of_runs = [Clock(2.0, 3, 1.0, 4).frame_times_s(), 50 + Clock(2.0, 4, 5.0, 4).frame_times_s()]
    np.testing.assert_allclose(found, np.concatenate(of_runs), atol=1e-3)


def test_a_study_without_a_recording_is_told_so(tmp_path):
    study = Study("s", Clock(2.0, 7))
    with pytest.raises(StudyError, match="no sound file at TR 0, so there are no speech_features"):
        with_speech_features(study, PARAMS)
    second = replace(
        study,
        run_of_tr=np.repeat([0, 1], [3, 4]),
        run_stimuli=((ramp(tmp_path / "a.wav", 0), 0.0), (None, 0.0)),
    )
    with pytest.raises(StudyError, match="no sound file at TR 3"):
        with_speech_features(second, PARAMS)


def test_a_study_file_asks_for_them(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    told = (
        "load: {n_trs: 8, frames_per_tr: 8, pictures: null}\nspeech_features: {model: loudness}\n"
    )
    (folder / "study_film.yaml").write_text(told)
    film = ramp(tmp_path / "a.wav", 0)
    runs = str(tmp_path / "runs")
    study = Experiment.open("film", params=str(folder), film=str(film), runs=runs).study
    assert study.mel is not None
    wanted = study.clock.frame_times_s()
    np.testing.assert_allclose(study.features[..., 0] * 100, wanted, atol=1e-3)
    (folder / "study_film.yaml").write_text(
        told.replace("model: loudness", "model: loudness, laver: 2")
    )
    with pytest.raises(
        SettingsError, match=r"speech_features.laver: unknown key. Did you mean 'layer'"
    ):
        Experiment.open("film", params=str(folder), film=str(film), runs=runs)
