"""Predictors of BOLD start from encoders that learned the sound, never the test time."""

import numpy as np
import pytest
import torch
from planted import order_study
from tiny_prediction import SPLITS, STUDY, TINY, predicted

from subtr.datasets.study import Study
from subtr.metrics.bold import pearson_r
from subtr.training import pretraining

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
    scarce = {"label_fraction": 0.2}
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
