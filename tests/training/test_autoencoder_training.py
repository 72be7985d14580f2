"""What is given and asked for in training changes; what is judged never does."""

from pathlib import Path

import numpy as np
import pytest
import torch
from planted import low_rank_study

from subtr.datasets.study import Fold, Study
from subtr.metrics.temporal import within_tr_r2
from subtr.models.batches import WindowBatches
from subtr.models.stream import AugmentationParams
from subtr.params import SettingsError, validate
from subtr.training.autoencoders import (
    lessons,
    reconstruct_pictures,
    reconstruct_sound,
    train_sound,
)
from subtr.training.systems import AutoencoderParams

STUDY = low_rank_study()
SPLIT = STUDY.splits(3, gap_s=6.0)[1]
PLAIN = {
    "stream": {"encoder": {"name": "linear", "hidden_dim": 0}, "aggregator": {"name": "linear"}},
    "training": {"max_epochs": 20, "check_every_epochs": 4, "learning_rate": 0.02},
}


def params(**changes):
    return validate(AutoencoderParams, PLAIN | changes, "system.yaml")


def kept(folder: Path, **changes):
    found, _ = reconstruct_sound(
        Fold(STUDY, SPLIT, params(**changes).of_size(4), folder, 0, "planted")
    )
    return within_tr_r2(STUDY.mel[SPLIT.test], found)


def windows(epoch=0):
    frames = torch.from_numpy(STUDY.mel)
    return WindowBatches(frames, [SPLIT.train[:20]], 2, 4, 3, seed=epoch)


def test_batches_keep_the_clean_windows_beside_what_is_given_and_asked_for():
    masks = {"time_masks": 1, "time_mask_frames": 4}
    both = params(augmentation=masks, curriculum={"start_hz": 0.5})
    changed = lessons(windows(), both, 0, 8 / 1.5, seed=0)
    for clean, batch in zip(windows(), changed, strict=True):
        assert torch.equal(batch["frames"], clean["frames"])
        same = batch["given"] == clean["frames"]
        assert 0.3 < same.float().mean() < 1
        assert (batch["given"][~same] == 0).all()
        assert (batch["target"] - clean["frames"]).abs().max() > 0.1
        # Coarse to fine is about time within the TR, not about its level.
        means = [one.mean(dim=2) for one in (batch["target"], clean["frames"])]
        torch.testing.assert_close(*means, atol=1e-5, rtol=0)


def test_without_lessons_batches_are_the_windows():
    for clean, batch in zip(windows(), lessons(windows(), params(), 0, 5.0, seed=0), strict=True):
        assert list(batch) == ["frames"]
        assert torch.equal(batch["frames"], clean["frames"])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augmentation": {"noise": 0.1, "frequency_masks": 1, "frequency_mask_bands": 1}},
        {"curriculum": {"full_at": 0.4, "start_hz": 0.5}},
        {"balance": True},
    ],
    ids=lambda changes: next(iter(changes), "plain"),
)
def test_each_lesson_ends_in_a_model_that_draws_the_clean_original(tmp_path, changes):
    assert kept(tmp_path, **changes) > 0.9


def test_masks_hidden_from_the_model_are_drawn_from_what_is_left(tmp_path):
    """A model that learned with masks fills gaps that one without was never asked to fill."""
    masked = AugmentationParams(time_masks=1, time_mask_frames=4)
    test = torch.from_numpy(STUDY.mel[SPLIT.test])
    scores = {}
    for name, augmentation in (("plain", None), ("masks", masked.model_dump())):
        long = {"max_epochs": 30, "check_every_epochs": 5, "learning_rate": 0.02}
        checked = params(augmentation=augmentation, training=long)
        trained = train_sound(Fold(STUDY, SPLIT, checked.of_size(4), tmp_path / name, 0, name))
        hidden = trained.frames[SPLIT.test].clone()
        hidden[:, 2:5] = 0
        with torch.no_grad():
            drawn = trained.model(hidden[None], 1.5)[0] * trained.scale + trained.center
        scores[name] = within_tr_r2(test.numpy(), drawn.numpy())
    assert scores["masks"] > scores["plain"] + 0.05


def test_balanced_losses_pull_as_hard_whatever_weight_they_were_given(tmp_path):
    """A level weight of 1 000 drowns what is within TRs unless the two are balanced."""
    loud = {"level_weight": 1000.0, "training": PLAIN["training"] | {"learning_rate": 0.002}}
    plain = kept(tmp_path / "plain", **loud)
    assert kept(tmp_path / "balanced", balance=True, **loud) > plain + 0.05


def test_a_student_follows_its_teacher(tmp_path):
    """The teacher says the opposite of the original; who listens to it alone says so too."""
    teacher = train_sound(
        Fold(STUDY, SPLIT, params().of_size(4), tmp_path / "teacher", 0, "teacher")
    )
    with torch.no_grad():
        for weight in teacher.model.decoder.parameters():
            weight.mul_(-1)
    wish = {"teacher": "opposite", "vector_weight": 0.0, "output_weight": 100.0}
    checked = params(teacher=wish)
    more = (tmp_path / "student", 0, "student")
    found, _ = reconstruct_sound(Fold(STUDY, SPLIT, checked.of_size(4), *more, teacher=teacher))
    original = STUDY.mel[SPLIT.test]
    assert np.corrcoef(found.ravel(), original.ravel())[0, 1] < -0.8


def test_a_teacher_that_is_missing_is_named(tmp_path):
    with pytest.raises(SettingsError, match="teacher = 'large': it has not been trained"):
        kept(tmp_path, teacher={"teacher": "large"})


def test_pictures_have_no_bands_to_move(tmp_path):
    pictures = np.zeros((STUDY.clock.n_trs, 2, 4, 4, 3), np.uint8)
    silent = Study("silent", STUDY.clock, pictures=pictures)
    checked = params(perturbation={"band_shifts": [1]}, decoder={"name": "linear_pictures"})
    with pytest.raises(SettingsError, match="perturbation: expected none for pictures"):
        reconstruct_pictures(Fold(silent, SPLIT, checked.of_size(3), tmp_path, 0, "silent"))


def test_an_autoencoder_is_of_one_size(tmp_path):
    two = params(floats_per_tr=[2, 3])
    with pytest.raises(SettingsError, match=r"\(2, 3\): an autoencoder has one size; .* of_size"):
        train_sound(Fold(STUDY, SPLIT, two, tmp_path))
    assert two.of_size(3).n_floats == 3
    assert two.floats_per_tr == (2, 3)
