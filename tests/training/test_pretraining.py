"""Encoders learn from what is seen what hidden patches held; what they may not see stays unseen."""

import numpy as np
import pytest
import torch
from tiny_pretraining import N_BANDS, N_FRAMES, SMALL, SPLIT, STUDY, stream

from subtr.datasets.study import Fold
from subtr.encoders import ENCODERS, PICTURE_ENCODERS
from subtr.params import SettingsError, validate
from subtr.timeline import Split
from subtr.training import pretraining
from subtr.training.fit import TrainingError
from subtr.training.pretraining import PretrainingParams, pretrain, pretrain_members

TINY = {
    "mask_ratio": 0.5, "patch_frames": 4, "patch_pixels": 4, "decoder_dim": 16, "batch_size": 16,
    "batches_per_epoch": 6,
    "training": {"max_epochs": 4, "check_every_epochs": 2, "learning_rate": 0.03},
}  # fmt: skip
SHORT = {"max_epochs": 1}


def params(**changes):
    return validate(PretrainingParams, TINY | changes, "system.yaml: pretraining")


def noise(seed=0):
    return torch.randn(100, N_FRAMES, N_BANDS, generator=torch.Generator().manual_seed(seed))


def alike(seed=0):
    """Sound whose bands all say the same, with other gains: two of them tell the others."""
    gains = torch.tensor([1.0, -1.0, 0.5, 1.0, -0.5, 1.0])
    return noise(seed)[..., :1] * gains + 0.1 * noise(seed + 1)


def flicker():
    """Pictures that are brighter or darker as a whole."""
    levels = torch.rand(100, N_FRAMES, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    return levels.expand(-1, -1, 3, 8, 8).clone()


def learn(folder, made, frames, seed=0, split=SPLIT, **changes):
    return pretrain(Fold(STUDY, split, params(**changes), folder, seed, "toy"), made, frames)


def explained(history):
    return history.query("part == 'validation' and name == 'explained'")["value"].max()


@pytest.mark.parametrize("encoder", SMALL)
def test_hidden_patches_are_found_in_the_others(tmp_path, encoder):
    pictures = encoder in PICTURE_ENCODERS.parts
    made = stream(encoder, (8, 8), context=0) if pictures else stream(encoder)
    assert explained(learn(tmp_path, made, flicker() if pictures else alike())) > 0.1


@pytest.mark.parametrize("encoder", [*ENCODERS.parts, *PICTURE_ENCODERS.parts])
def test_the_encoder_of_a_stream_learns_and_nothing_else_of_it(tmp_path, encoder):
    pictures = encoder in PICTURE_ENCODERS.parts
    made = stream(encoder, (8, 8), context=0) if pictures else stream(encoder)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    brief = {"batch_size": 2, "batches_per_epoch": 1, "training": SHORT}
    learn(tmp_path, made, flicker() if pictures else alike(), **brief)
    changed = {name for name, value in made.state_dict().items() if (value != before[name]).any()}
    assert {name.split(".")[0] for name in changed} == {"encoder"}
    assert all(module.training for module in made.modules())  # or its dropout would be off


@pytest.mark.parametrize("mask", ["tube", "random"])
@pytest.mark.parametrize("decoder_cells", [None, 0.5])
def test_what_cannot_be_known_is_not_explained_and_what_can_be_is(tmp_path, mask, decoder_cells):
    how = {"mask": mask, "decoder_cells": decoder_cells}
    assert explained(learn(tmp_path / "noise", stream(), noise(), **how)) < 0.05
    assert explained(learn(tmp_path / "alike", stream(), 5 + 3 * alike(), **how)) > 0.3


def test_features_are_drawn_in_the_place_of_what_is_hidden(tmp_path):
    """Features that follow from the sound are found; features of another sound cannot be."""
    frames = alike()
    follow = torch.stack([2 * frames[..., 0] + 5, -frames[..., 0]], dim=-1)
    unseen = {}
    for name, targets in (("follow", follow), ("other", follow[torch.randperm(100)])):
        made = stream()
        fold = Fold(STUDY, SPLIT, params(target="features"), tmp_path / name, 0, "toy")
        history = pretrain(fold, made, frames, targets)
        unseen[name] = explained(history)
    assert unseen["follow"] > 0.5
    assert unseen["other"] < 0.1


def test_only_the_given_stretches_are_looked_at(tmp_path):
    whole, holes = stream(), stream()
    frames = alike()
    history = learn(tmp_path / "whole", whole, frames, training=SHORT)
    outside = np.setdiff1d(np.arange(100), np.r_[SPLIT.train, SPLIT.validation])
    frames[outside] = torch.nan
    again = learn(tmp_path / "holes", holes, frames, training=SHORT)
    np.testing.assert_array_equal(history["value"], again["value"])
    for one, other in zip(whole.parameters(), holes.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_test_trs_are_shown_only_when_asked_for_and_validation_is_never_learned_from(
    tmp_path, monkeypatch
):
    given = []
    monkeypatch.setattr(pretraining, "pretrain", lambda *of: given.append(of) or history())

    def history():
        made = torch.tensor([]).new_empty(0)
        made.attrs = {"training time_s": 2.0}
        return made

    for stimulus in ("train", "all"):
        how = params(stimulus=stimulus)
        streams = [stream(seed=seed) for seed in (0, 1)]
        place = tmp_path / stimulus
        fold = Fold(STUDY, SPLIT, how, place, 3, "toy")
        started, spent_s = pretrain_members(fold, streams, alike())
        assert spent_s == 4.0
        expected = [id(one) for each in streams for one in each.encoder.parameters()]
        assert [id(one) for one in started] == expected
    trs = [of[0].train.tolist() for of in given]
    assert trs[0] == trs[1] == SPLIT.train.tolist()
    assert trs[2] == trs[3] == [*range(70), *range(85, 100)]
    assert all(of[0].validation.tolist() == SPLIT.validation.tolist() for of in given)
    seeds, folders = [of[0].seed for of in given], [of[0].folder.name for of in given]
    assert len(set(seeds[:2])) == 2
    assert folders[:2] == ["member0", "member1"]


def test_a_hole_in_the_training_stimulus_stops_it(tmp_path):
    frames = alike()
    frames[SPLIT.train[20]] = torch.nan
    with pytest.raises(TrainingError, match="nan in epoch 0"):
        learn(tmp_path, stream(), frames)


def test_an_interrupted_pretraining_ends_in_the_same_numbers(tmp_path, monkeypatch):
    whole, cut, masks = stream(), stream(), pretraining.dual_masks
    history = learn(tmp_path / "whole", whole, alike())
    calls = iter(range(100))

    def stopping(*given):
        if next(calls) == 15:
            raise KeyboardInterrupt
        return masks(*given)

    monkeypatch.setattr(pretraining, "dual_masks", stopping)
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "cut", cut, alike())
    monkeypatch.setattr(pretraining, "dual_masks", masks)
    again = learn(tmp_path / "cut", stream(), alike())
    np.testing.assert_array_equal(history["value"], again["value"])
    resumed = stream(seed=9)
    learn(tmp_path / "cut", resumed, alike())  # finished: its weights are read
    for one, other in zip(whole.encoder.parameters(), resumed.encoder.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_frames": 5}, "patch_frames = 5: expected a divisor of 16, the frames of"),
        ({"patch_bands": 4}, "patch_bands = 4: expected a divisor of 6, the bands of"),
        ({"mask_ratio": 0.95}, "mask_ratio = 0.95 hides 6 of 6 patches"),
        ({"decoder_cells": 0.3}, "decoder_cells = 0.3"),
        ({"mask": "cube"}, "mask = 'cube'"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        learn(tmp_path, stream(), alike(), **changes)


def test_too_short_a_stretch_is_named(tmp_path):
    split = Split(SPLIT.train, np.array([70]), SPLIT.test)
    with pytest.raises(SettingsError, match=r"16 frames.*of validation is longer than 8"):
        learn(tmp_path, stream(), alike(), split=split)
