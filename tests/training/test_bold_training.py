"""BOLD from sound and pictures together, with augmented items, and with a teacher."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import motion_study, order_study

from subtr.datasets.study import Fold, folds_of
from subtr.metrics.bold import pearson_r
from subtr.params import SettingsError, validate
from subtr.training import encoding_models as bold_augmentation
from subtr.training.encoding_models import predict_bold
from subtr.training.systems import BoldParams

MOTION = motion_study()
SPLITS = MOTION.splits(2, gap_s=24.0, validation_fraction=0.15)[:1]
TEST = SPLITS[0].test
S3D = {
    "name": "s3d", "channels": [8], "kernel_frames": 2, "hidden_dim": 0, "space": "mean",
    "norm": "none", "activation": "relu",
}  # fmt: skip
TINY = {
    "stream": {
        "encoder": {"name": "linear", "hidden_dim": 4},
        "aggregator": {"name": "kernels", "n_kernels": 2},
    },
    "readout": {"vector_dim": 2, "response": "canonical"},
    "training": {"max_epochs": 60, "check_every_epochs": 10, "learning_rate": 0.02},
}
SHORT = {"training": {"max_epochs": 3, "check_every_epochs": 1}}
JOINT = {"pictures": {"encoder": S3D}}


def predicted(folder, study=MOTION, follow=None, **changes):
    params = validate(BoldParams, TINY | changes, "system.yaml")
    folds = folds_of(study, SPLITS, folder, "toy", params=params, drift_order=1, teacher=follow)
    return predict_bold(folds)[0]


def held_out_r(prediction, study=MOTION):
    return pearson_r(prediction[TEST], study.truth["group"]["signal"][TEST])


@pytest.fixture(scope="module")
def joint(tmp_path_factory):
    return predicted(tmp_path_factory.mktemp("joint"), **JOINT)


def test_pictures_beside_sound_predict_what_follows_motion_and_sound_alone_does_not(
    joint, tmp_path
):
    assert held_out_r(joint["mean"]).min() > 0.7
    assert abs(held_out_r(predicted(tmp_path)["mean"]).mean()) < 0.3
    # Rolled pictures in another order still move, so the control loses less than everything.
    assert np.abs(joint["frames shuffled"] - joint["mean"])[TEST].max() > 0.01


def test_sound_is_still_heard_beside_pictures(tmp_path):
    study = order_study(n_trs=240)
    silent_pictures = np.zeros((240, 4, 10, 12, 3), np.uint8)
    study = replace(study, pictures=silent_pictures)
    found = predicted(tmp_path, study, pictures={"encoder": S3D, "fusion_dim": 4})
    assert held_out_r(found["mean"], study).min() > 0.7


def test_a_silent_study_is_predicted_from_pictures_alone(tmp_path):
    silent = replace(MOTION, name="silent", mel=None)
    r = held_out_r(predicted(tmp_path, silent, **JOINT)["mean"])
    assert r.mean() > 0.5
    assert r.min() > 0.3


def test_what_a_study_lacks_is_named(tmp_path):
    with pytest.raises(SettingsError, match="pictures: planted has none"):
        predicted(tmp_path, order_study(), **JOINT)
    message = r"silent has no sound and no features: give .* pictures"
    with pytest.raises(SettingsError, match=message):
        predicted(tmp_path, replace(MOTION, name="silent", mel=None))


def test_the_pictures_of_test_trs_are_never_learned_from(tmp_path):
    split = SPLITS[0]
    outside = np.setdiff1d(np.arange(240), np.r_[split.train, split.validation])
    # Lead-in of the response may be seen, as it comes before training BOLD; test TRs not.
    assert set(TEST) <= set(outside)
    pictures = MOTION.pictures.copy()
    pictures[TEST] = np.random.default_rng(1).integers(0, 256, pictures[TEST].shape)
    changed = replace(MOTION, name="changed", pictures=pictures)
    weights = []
    for study in (MOTION, changed):
        predicted(tmp_path / study.name, study, **SHORT, **JOINT)
        weights.append(torch.load(tmp_path / study.name / "fold0/best.ckpt", weights_only=True))
    one, other = (of["state_dict"] for of in weights)
    assert all(torch.equal(one[name], other[name]) for name in one)


PRETRAINING = {
    "mask": "random", "mask_ratio": 0.5, "patch_frames": 2, "decoder_dim": 8,
    "batches_per_epoch": 4, "training": {"max_epochs": 2, "check_every_epochs": 1},
}  # fmt: skip


def test_pretraining_teaches_the_sound_encoder_of_every_member(tmp_path):
    kept = {"training": {"max_epochs": 1, "started_rate": 0.0}}
    two = {"readout": TINY["readout"] | {"members": 2}}
    predicted(tmp_path, pretraining=PRETRAINING, **kept, **two, **JOINT)
    trained = torch.load(tmp_path / "fold0/best.ckpt", weights_only=True)["state_dict"]
    for member in (0, 1):
        place = tmp_path / f"fold0/pretraining/member{member}/best.ckpt"
        own = torch.load(place, weights_only=True)["state_dict"]
        names = [name for name in own if name.startswith("model.encoder.")]
        assert names
        for name in names:
            after = name.replace("model.encoder", f"model.streams.{member}.encoder.sound")
            assert torch.equal(trained[after], own[name])


AUGMENTED = {
    "augmentation": {"shift_frames": 4, "time_masks": 1, "time_mask_frames": 3,
                     "frequency_masks": 1, "frequency_mask_bands": 2, "noise": 0.1},
    "pictures": {"encoder": S3D, "augmentation": {"shift_frames": 2, "noise": 0.1}},
}  # fmt: skip


def test_interrupted_training_on_augmented_items_ends_in_the_same_numbers(tmp_path, monkeypatch):
    epochs = {"training": {"max_epochs": 6, "check_every_epochs": 2}}
    whole = predicted(tmp_path / "whole", **epochs, **AUGMENTED)
    augment, calls = bold_augmentation.augment, iter(range(100))

    def stopping(*given):
        if next(calls) == 9:  # in the fifth epoch
            raise KeyboardInterrupt
        return augment(*given)

    monkeypatch.setattr(bold_augmentation, "augment", stopping)
    with pytest.raises(KeyboardInterrupt):
        predicted(tmp_path / "cut", **epochs, **AUGMENTED)
    assert not (tmp_path / "cut/fold0/done.json").exists()
    monkeypatch.setattr(bold_augmentation, "augment", augment)
    resumed = predicted(tmp_path / "cut", **epochs, **AUGMENTED)
    np.testing.assert_array_equal(whole["mean"], resumed["mean"])


def test_items_of_training_alone_are_augmented_and_differently_in_each_epoch(tmp_path, monkeypatch):
    given, augment = [], bold_augmentation.augment

    def recorded(frames, *rest):
        given.append((frames, augment(frames, *rest)))
        return given[-1][1]

    monkeypatch.setattr(bold_augmentation, "augment", recorded)
    one = predicted(tmp_path / "one", **SHORT, **AUGMENTED)
    n_pictures = [changed.ndim == 6 for _, changed in given]
    assert n_pictures == [False, True] * 3  # three epochs, checked after each, each drawn once
    (first, changed), (second, again) = given[0], given[2]
    assert torch.equal(first, second)
    assert not torch.equal(changed, again)
    plain = predicted(tmp_path / "plain", **SHORT, **JOINT)
    assert np.abs(one["mean"] - plain["mean"])[TEST].max() > 1e-3


def test_a_teacher_that_is_missing_is_named(tmp_path):
    followed = {"teacher": {"teacher": "large"}}
    with pytest.raises(SettingsError, match="teacher = 'large': it has not been trained"):
        predicted(tmp_path, **followed)
    follower = validate(BoldParams, TINY | {"teacher": {"teacher": "larger"}}, "system.yaml")
    with pytest.raises(SettingsError, match="'large': it follows 'larger' and is not trained in"):
        predicted(tmp_path, follow=Fold(MOTION, SPLITS[0], follower, tmp_path), **followed)


LARGE = TINY | {
    "readout": {"vector_dim": 3, "response": "canonical", "members": 2},
    "stream": TINY["stream"] | {"context_frames": 2},
}


def test_a_student_follows_its_teacher_where_there_are_no_labels(tmp_path):
    """The teacher knows what sound does to BOLD; the student has labels of pure noise, few."""
    study = order_study(n_trs=240)
    teacher = validate(BoldParams, LARGE | {"n_bands": 4}, "system.yaml")
    place = tmp_path / "teacher"
    taught = {
        "label_fraction": 0.4,
        "teacher": {"teacher": "large", "vector_weight": 1.0, "output_weight": 20.0},
    }
    (fold,) = folds_of(study, SPLITS, place, "teacher", params=teacher, drift_order=1)
    predict_bold([fold])
    before = (place / "fold0/best.ckpt").read_bytes()
    noise = np.random.default_rng(3).normal(size=study.bold["s1"].shape)
    noisy = replace(study, name="noisy", bold={"s1": noise})
    found = predicted(tmp_path / "student", noisy, follow=fold, **taught)
    alone = predicted(tmp_path / "alone", noisy, label_fraction=0.4)
    assert held_out_r(found["mean"], study).min() > 0.7
    assert held_out_r(alone["mean"], study).mean() < 0.4
    assert (place / "fold0/best.ckpt").read_bytes() == before
