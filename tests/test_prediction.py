"""BOLD that follows the order of frames: learned by what sees order, not by what averages."""

import numpy as np
import pytest
import torch
from planted import order_study

from subtr import pretraining
from subtr.errors import SettingsError
from subtr.held_out_bold import cleaned_bold
from subtr.labelled import labelled_trs
from subtr.metrics import pearson_r
from subtr.params import validate
from subtr.prediction import (
    BoldParams,
    predict_bold,
    ridge_features,
    ridge_prediction,
    standardised_frames,
)
from subtr.splits import Split, assert_fitted_on_train
from subtr.study import Study

TINY = {
    "stream": {
        "encoder": {"name": "linear", "hidden_dim": 4},
        "aggregator": {"name": "conv", "hidden_dim": 8},
    },
    "readout": {"vector_dim": 2, "response": "canonical"},
    "training": {"max_epochs": 60, "check_every_epochs": 10, "learning_rate": 0.02},
}
LONG = TINY["training"] | {"max_epochs": 200}
AVERAGING = TINY["stream"] | {"aggregator": {"name": "mean"}}
STUDY = order_study()
SPLITS = STUDY.splits(2, gap_s=24.0, validation_fraction=0.15)


def params(**changes):
    return validate(BoldParams, TINY | changes, "system.yaml")


def predicted(folder, splits=SPLITS, study=STUDY, seed=0, **changes):
    return predict_bold(study, splits, params(**changes), 1, folder, seed, "toy")


def held_out_r(prediction, study=STUDY):
    return float(np.mean(pearson_r(prediction, study.truth["group"]["signal"])))


def test_a_network_that_sees_order_finds_it_and_averaging_does_not(tmp_path):
    found, history = predicted(tmp_path / "conv")
    averaged, _ = predicted(tmp_path / "mean", stream=AVERAGING)
    assert held_out_r(found["mean"]) > 0.8
    assert abs(held_out_r(averaged["mean"])) < 0.3
    # The control: the same networks, given the frames of each TR in random order.
    assert held_out_r(found["frames shuffled"]) < held_out_r(found["mean"]) - 0.3
    np.testing.assert_allclose(averaged["frames shuffled"], averaged["mean"], atol=1e-4)
    assert np.isfinite(found["mean"]).all()  # two folds test every TR
    assert sorted(history["fold"].unique()) == [0, 1]
    assert history.attrs["training time_s"] > 0


def test_each_subject_gets_a_head_and_the_mean_is_theirs(tmp_path):
    opposite = {"s1": STUDY.bold["s1"], "s2": -STUDY.bold["s2"]}
    study = Study(
        "opposite", STUDY.clock, mel=STUDY.mel, bold=opposite, parcels=STUDY.parcels,
        truth=STUDY.truth,
    )  # fmt: skip
    found, _ = predicted(tmp_path, SPLITS[:1], study, target="subjects", loss="mse", training=LONG)
    controls = {"frames shuffled", "phases randomised"}
    assert set(found) == {"s1", "s2", "mean", "calibrated"} | controls
    np.testing.assert_allclose(found["mean"], (found["s1"] + found["s2"]) / 2)
    assert held_out_r(found["s1"]) > 0.7
    assert held_out_r(found["s2"]) < -0.7
    tested = np.isfinite(found["s1"]).all(1)
    assert np.flatnonzero(tested).tolist() == SPLITS[0].test.tolist()


def test_held_out_bold_is_never_used(tmp_path):
    short = {"training": {"max_epochs": 3}}
    honest, _ = predicted(tmp_path / "a", SPLITS[:1], **short)
    outside = np.setdiff1d(np.arange(260), np.r_[SPLITS[0].train, SPLITS[0].validation])
    bold = {subject: of.copy() for subject, of in STUDY.bold.items()}
    for of in bold.values():
        of[outside] = 100.0 * np.random.default_rng(1).normal(size=(len(outside), 3))
    changed = Study("changed", STUDY.clock, mel=STUDY.mel, bold=bold, parcels=STUDY.parcels)
    again, _ = predicted(tmp_path / "b", SPLITS[:1], changed, **short)
    np.testing.assert_array_equal(honest["mean"], again["mean"])


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(tmp_path):
    short = {"training": {"max_epochs": 2}}
    one, again, other = (
        predicted(tmp_path / name, SPLITS[:1], seed=seed, **short)[0]["mean"]
        for name, seed in (("one", 0), ("again", 0), ("other", 1))
    )
    np.testing.assert_array_equal(one, again)
    assert np.nanmax(np.abs(one - other)) > 1e-3


def test_masked_parcels_leave_the_others_as_good(tmp_path):
    bold = {subject: of.copy() for subject, of in STUDY.bold.items()}
    for of in bold.values():
        of[:, 2] = np.nan
        of[40:60, 0] = np.nan
    with pytest.warns(UserWarning, match="masked by NaN"):
        study = Study("masked", STUDY.clock, mel=STUDY.mel, bold=bold, parcels=STUDY.parcels)
    found, _ = predicted(tmp_path, SPLITS[:1], study)
    r = pearson_r(found["mean"], STUDY.truth["group"]["signal"])
    assert r[:2].min() > 0.7


def test_frames_are_scaled_by_training_trs_alone_and_a_planted_leak_is_caught():
    def scaled(values, split):
        mel = values.reshape(260, 8, 4).astype(np.float32)
        frames = standardised_frames(Study("toy", STUDY.clock, mel=mel), split)
        return frames.flatten(1).numpy()

    def leaky(values, split):
        return scaled(values, Split(np.arange(260), split.validation, split.test))

    values = STUDY.mel.reshape(260, -1).astype(np.float64)
    assert_fitted_on_train(scaled, values, SPLITS[0])
    with pytest.raises(ValueError, match="fitted on all data"):
        assert_fitted_on_train(leaky, values, SPLITS[0])


def test_frames_have_mean_0_and_variance_1_in_training():
    frames = standardised_frames(STUDY, SPLITS[0])[SPLITS[0].train]
    np.testing.assert_allclose(frames.mean((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(frames.std((0, 1), correction=0), 1, atol=1e-4)


def test_bands_are_means_of_neighbouring_mel_bands():
    two = standardised_frames(STUDY, SPLITS[0], n_bands=2)
    mel = STUDY.mel.reshape(260, 8, 2, 2).mean(-1)
    known = mel[SPLITS[0].train]
    expected = (mel - known.mean((0, 1))) / known.std((0, 1))
    np.testing.assert_allclose(two, expected, atol=1e-4)
    with pytest.raises(SettingsError, match=r"n_bands = 5: the log-mel has 4 bands"):
        standardised_frames(STUDY, SPLITS[0], n_bands=5)


def test_ridge_finds_a_feature_that_drives_bold_and_none_in_noise():
    truth = (STUDY.mel[:, -1] - STUDY.mel[:, 0])[:, :1].astype(np.float64)
    noise = np.random.default_rng(0).normal(size=(260, 1))
    assert held_out_r(ridge_prediction(STUDY, SPLITS, truth, 1)) > 0.8
    assert abs(held_out_r(ridge_prediction(STUDY, SPLITS, noise, 1))) < 0.3
    features = ridge_features(STUDY)
    assert list(features) == ["mean mel", "sound power", "onset flux"]
    np.testing.assert_allclose(features["mean mel"], STUDY.mel.mean(1), atol=1e-6)


def test_regressors_of_a_study_are_rivals_too():
    words = np.arange(260.0)[:, None]
    study = Study("words", STUDY.clock, regressors={"word rate": words})
    assert list(ridge_features(study)) == ["word rate"]
    np.testing.assert_array_equal(ridge_features(study)["word rate"], words)


def test_cleaned_bold_of_a_fold_does_not_know_the_other_volumes():
    def prepare(values, split):
        bold = {"s": values}
        study = Study("toy", STUDY.clock, bold=bold, parcels=STUDY.parcels)
        return cleaned_bold(study, split, 2)[1]

    assert_fitted_on_train(prepare, STUDY.bold["s1"], SPLITS[1])


PRETRAINING = {
    "mask": "random", "mask_ratio": 0.5, "patch_frames": 2, "decoder_dim": 8,
    "batches_per_epoch": 4, "training": {"max_epochs": 4, "check_every_epochs": 2},
}  # fmt: skip


def weights(file):
    return torch.load(file, weights_only=True)["state_dict"]


def test_pretrained_encoders_are_what_each_member_starts_from(tmp_path):
    kept = {"training": {"max_epochs": 2, "started_rate": 0.0}}
    two = {"readout": TINY["readout"] | {"members": 2}}
    found, history = predicted(tmp_path, SPLITS[:1], pretraining=PRETRAINING, **kept, **two)
    started = [weights(tmp_path / f"fold0/pretraining/member{i}/best.ckpt") for i in (0, 1)]
    trained = weights(tmp_path / "fold0" / "best.ckpt")
    for index, own in enumerate(started):
        names = [name for name in own if name.startswith("model.encoder")]
        assert len(names) == 2
        for name in names:
            after = trained[name.replace("model", f"model.streams.{index}")]
            torch.testing.assert_close(after, own[name], rtol=0, atol=0)
    name = "model.encoder.map.weight"
    assert (started[0][name] - started[1][name]).abs().max() > 1e-3
    plain, alone = predicted(tmp_path / "plain", SPLITS[:1], **kept, **two)
    assert np.nanmax(np.abs(plain["mean"] - found["mean"])) > 1e-3
    assert history.attrs["training time_s"] > alone.attrs["training time_s"] > 0


def test_pretraining_never_meets_the_stimulus_of_test_trs(tmp_path):
    split = SPLITS[0]
    outside = np.setdiff1d(np.arange(260), np.r_[split.train, split.validation])
    mel = STUDY.mel.copy()
    mel[outside] = 100 * np.random.default_rng(1).normal(size=mel[outside].shape)
    changed = Study("changed", STUDY.clock, mel=mel, bold=STUDY.bold, parcels=STUDY.parcels)

    def learned(name, study, stimulus):
        how = PRETRAINING | {"stimulus": stimulus}
        short = {"training": {"max_epochs": 1}}
        predicted(tmp_path / name, [split], study, pretraining=how, **short)
        return weights(tmp_path / name / "fold0/pretraining/member0/best.ckpt")

    for stimulus, same in (("train", True), ("all", False)):
        one, other = (
            learned(f"{stimulus} {study.name}", study, stimulus) for study in (STUDY, changed)
        )
        assert all(torch.equal(one[name], other[name]) for name in one) == same


def common_course_study(n_trs=400, n_bands=40):
    """Bands that rise or fall together within the TR, each in a lot of noise; BOLD follows that."""
    study = order_study(n_trs=n_trs, noise=0.3)
    rng = np.random.default_rng(5)
    course = study.mel[..., :1] - study.mel.mean(1, keepdims=True)[..., :1]
    mel = course + 1.5 * rng.normal(size=(n_trs, 8, n_bands))
    return Study(
        "common", study.clock, mel=mel.astype(np.float32), bold=study.bold, parcels=study.parcels,
        truth=study.truth,
    )  # fmt: skip


def test_where_bold_is_scarce_an_encoder_that_knows_the_sound_predicts_it_better(tmp_path):
    study = common_course_study()
    splits = study.splits(2, gap_s=24.0, validation_fraction=0.15)[:1]
    scarce = {"labelled_fraction": 0.2}
    how = PRETRAINING | {
        "mask": "tube", "batches_per_epoch": 20,
        "training": {"max_epochs": 6, "check_every_epochs": 2, "learning_rate": 0.01},
    }  # fmt: skip
    r = {}
    for name, changes in (("plain", {}), ("pretrained", {"pretraining": how})):
        found, _ = predicted(tmp_path / name, splits, study, **scarce, **changes)
        tested = splits[0].test
        truth = study.truth["group"]["signal"][tested]
        r[name] = pearson_r(found["mean"][tested], truth).mean()
    assert r["pretrained"] > r["plain"] + 0.04, r


def test_an_interrupted_pretraining_of_bold_ends_in_the_same_numbers(tmp_path, monkeypatch):
    short = {"training": {"max_epochs": 2}, "pretraining": PRETRAINING}
    whole, _ = predicted(tmp_path / "whole", SPLITS[:1], **short)
    masks, calls = pretraining.dual_masks, iter(range(100))

    def stopping(*given):
        if next(calls) == 15:  # in the fourth epoch
            raise KeyboardInterrupt
        return masks(*given)

    monkeypatch.setattr(pretraining, "dual_masks", stopping)
    with pytest.raises(KeyboardInterrupt):
        predicted(tmp_path / "cut", SPLITS[:1], **short)
    assert not (tmp_path / "cut" / "fold0" / "best.ckpt").exists()
    monkeypatch.setattr(pretraining, "dual_masks", masks)
    resumed, _ = predicted(tmp_path / "cut", SPLITS[:1], **short)
    np.testing.assert_array_equal(whole["mean"], resumed["mean"])


def test_bold_that_is_not_labelled_is_never_used(tmp_path):
    few = {"training": {"max_epochs": 3}, "labelled_fraction": 0.3}
    split = SPLITS[1]
    honest, _ = predicted(tmp_path / "a", [split], **few)
    known = labelled_trs(split, 0.3, STUDY, seed=0)
    outside = np.setdiff1d(np.arange(260), np.r_[known, split.validation])
    bold = {subject: of.copy() for subject, of in STUDY.bold.items()}
    for of in bold.values():
        of[outside] = 100.0 * np.random.default_rng(1).normal(size=(len(outside), 3))
    changed = Study("changed", STUDY.clock, mel=STUDY.mel, bold=bold, parcels=STUDY.parcels)
    again, _ = predicted(tmp_path / "b", [split], changed, **few)
    np.testing.assert_array_equal(honest["mean"], again["mean"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"readout": {"vector_dims": 2}}, r"readout\.vector_dims: unknown key.*'vector_dim'"),
        ({"readout": {"response": "glover"}}, r"readout\.response = 'glover'"),
        ({"loss": "r"}, "loss = 'r'"),
        ({"item_trs": 2}, "item_trs = 2"),
        ({"labelled_fraction": 0}, "labelled_fraction = 0"),
        ({"pretraining": {"mask_ration": 0.9}}, r"pretraining\.mask_ration: .*'mask_ratio'"),
    ],
)
def test_wrong_parameters_are_refused_when_the_file_is_read(changes, message):
    with pytest.raises(SettingsError, match=message):
        params(**changes)
