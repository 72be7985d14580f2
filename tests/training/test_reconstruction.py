"""An autoencoder finds a code that is known to be there, and averaging cannot."""

import numpy as np
import pytest
import torch
from planted import low_rank_study

from subtr.datasets.study import Fold, Study
from subtr.metrics.temporal import within_tr_r2
from subtr.models import linear as training_windows
from subtr.models.linear import PCABaseline, fit_pca, holds_components, windows_of
from subtr.params import SettingsError, validate
from subtr.timeline import Clock, consecutive
from subtr.training.autoencoders import reconstruct_pictures, reconstruct_sound, train_sound
from subtr.training.systems import AutoencoderParams

LINEAR = {
    "stream": {"encoder": {"name": "linear", "hidden_dim": 0}, "aggregator": {"name": "linear"}},
    "training": {"max_epochs": 12, "check_every_epochs": 3, "learning_rate": 0.03},
}
STUDY = low_rank_study()
SPLIT = STUDY.splits(3, gap_s=6.0)[1]
TRAIN = consecutive(SPLIT.train, STUDY.run_of_tr)


def params(**changes):
    return validate(AutoencoderParams, LINEAR | changes, "system.yaml")


def kept(found, study=STUDY):
    return within_tr_r2(study.mel[SPLIT.test], found)


def sound(folder, n_floats=4, seed=0, study=STUDY, **changes):
    return reconstruct_sound(
        Fold(study, SPLIT, params(**changes).of_size(n_floats), folder, seed, "toy")
    )


def test_as_many_numbers_as_the_sound_has_hold_it_and_fewer_or_an_average_do_not(tmp_path):
    all_of_it, history = sound(tmp_path / "4")
    some, _ = sound(tmp_path / "2", n_floats=2)
    held, _ = sound(tmp_path / "held", decoder={"name": "held"})
    assert all_of_it.shape == STUDY.mel[SPLIT.test].shape
    assert kept(all_of_it) > 0.95
    assert 0.1 < kept(some) < kept(all_of_it) - 0.1
    assert kept(held) == pytest.approx(0, abs=1e-5)
    losses = history.query("part == 'validation' and name == 'loss'")["value"].to_numpy()
    assert losses[-1] < 0.1 * losses[0]


def test_started_from_pca_it_is_pca_before_it_learns(tmp_path):
    # A rate of next to nothing leaves the start as it is.
    still = {"max_epochs": 1, "learning_rate": 1e-9}
    found, _ = sound(tmp_path, n_floats=3, start="pca", training=still)
    scale = STUDY.mel[SPLIT.train].std()
    center = STUDY.mel[SPLIT.train].mean((0, 1))
    scaled = (STUDY.mel - center) / scale
    baseline = fit_pca(torch.from_numpy(scaled), TRAIN, 3)
    expected = baseline.reconstruct(scaled[SPLIT.test]) * scale + center
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_learning_from_pca_does_not_fall_behind_it(tmp_path):
    baseline = fit_pca(torch.from_numpy(STUDY.mel), TRAIN, 3)
    found, _ = sound(tmp_path, n_floats=3, start="pca", training={"max_epochs": 10})
    assert kept(found) > kept(baseline.reconstruct(STUDY.mel[SPLIT.test])) - 0.02


def test_nothing_of_the_test_tr_reaches_the_model(tmp_path):
    honest, _ = sound(tmp_path / "honest", start="pca", training={"max_epochs": 3})
    mel = STUDY.mel.copy()
    changed = SPLIT.test[5:]
    mel[changed] = 7.0
    other = Study("changed", STUDY.clock, mel=mel)
    again, _ = sound(tmp_path / "again", study=other, start="pca", training={"max_epochs": 3})
    # The first test TRs are as they were, and so is what a model makes of them.
    np.testing.assert_array_equal(honest[:5], again[:5])


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(tmp_path):
    short = {"training": {"max_epochs": 2}}
    one, again, other = (
        sound(tmp_path / name, seed=seed, **short)[0]
        for name, seed in (("one", 0), ("again", 0), ("other", 1))
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3


def test_training_windows_are_windows_of_training_trs_alone():
    numbers = torch.arange(160 * 8, dtype=torch.float32).reshape(160, 8, 1)
    windows = windows_of(numbers, TRAIN)[..., 0]
    assert (np.diff(windows, axis=1) == 1).all()
    trs = np.unique(windows // 8).astype(int)
    assert trs.tolist() == SPLIT.train.tolist()
    # Those that begin with a TR are among them.
    begins = windows[:, 0][windows[:, 0] % 8 == 0] // 8
    assert sorted(begins.tolist()) == SPLIT.train.tolist()


@pytest.mark.parametrize("most", [0, 10**6], ids=["by windows", "by covariance"])
def test_components_are_those_of_windows_at_every_frame_either_way(monkeypatch, most):
    monkeypatch.setattr(training_windows, "_COVARIANCE_UP_TO", most)
    mel = torch.from_numpy(STUDY.mel)
    expected = PCABaseline(3).fit(windows_of(mel, TRAIN))
    found = fit_pca(mel, TRAIN, 3)
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-4)
    np.testing.assert_allclose(found.deviations, expected.deviations, rtol=1e-3)
    np.testing.assert_allclose(
        np.abs(found.components @ expected.components.T), np.eye(3), atol=1e-3
    )


def test_components_are_only_as_many_as_the_windows_tell_apart():
    assert holds_components(STUDY.mel, TRAIN, STUDY.mel[0].size - 1)
    assert not holds_components(STUDY.mel, TRAIN, STUDY.mel[0].size)
    assert not holds_components(STUDY.mel, [np.arange(2)], 9)
    assert holds_components(STUDY.mel, [np.arange(2)], 8)


def moving_pictures():
    """A bright bar that goes right or left within each TR; its mean picture tells nothing."""
    rng = np.random.default_rng(0)
    pictures = np.full((120, 4, 4, 8, 3), 20, np.uint8)
    for tr, right in enumerate(rng.random(120) < 0.5):
        for index in range(4):
            place = 2 * (index if right else 3 - index)
            pictures[tr, index, :, place : place + 2] = 220
    return Study("bars", Clock(1.5, 120), pictures=pictures)


@pytest.mark.parametrize(("aggregator", "held"), [("conv", False), ("mean", True)])
def test_pictures_move_again_only_when_their_order_was_kept(tmp_path, aggregator, held):
    study = moving_pictures()
    split = study.splits(3, gap_s=6.0)[0]
    settings = {
        "stream": {
            "encoder": {"name": "frame2d", "channels": [8], "hidden_dim": 16},
            "aggregator": {"name": aggregator},
        },
        "decoder": {"name": "conv", "channels": [16, 8], "held": held},
        "batches_per_epoch": 10,
        "training": {"max_epochs": 20, "learning_rate": 0.01},
    }
    checked = validate(AutoencoderParams, settings, "system.yaml")
    found, _ = reconstruct_pictures(Fold(study, split, checked.of_size(4), tmp_path, 0, "toy"))
    original = study.pictures[split.test]
    assert found.dtype == np.uint8
    assert found.shape == original.shape
    score = within_tr_r2(original, found)
    assert score > 0.8 if not held else score == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder": {"name": "linaer"}}, r"'linaer' is no known decoder.*'linear'"),
        ({"decoder": {"name": "held", "size": 3}}, "size: unknown key"),
        ({"floats_per_tr": []}, "floats_per_tr"),
        ({"training": {"max_epoch": 3}}, r"training\.max_epoch: unknown key.*'max_epochs'"),
        ({"start": "pac"}, "start = 'pac'"),
        ({"start": "pca", "decoder": {"name": "held"}}, "start = 'pca' needs the decoder linear"),
        ({"item_trs": 0}, "item_trs = 0"),
        ({"start": "pca", "balance": True}, "balance = true: expected false with start = 'pca'"),
        ({"augmentation": {"shift_frames": 3}}, r"augmentation\.shift_frames = 3: expected 0"),
    ],
)
def test_wrong_parameters_are_refused_when_the_file_is_read(changes, message):
    with pytest.raises(SettingsError, match=message):
        params(**changes)


def test_items_longer_than_the_training_blocks_are_refused_with_a_remedy(tmp_path):
    with pytest.raises(SettingsError, match=r"item_trs = 150: no more than \d+ consecutive TRs"):
        sound(tmp_path, item_trs=150)


def test_what_becomes_of_the_vectors_on_their_way_is_what_is_drawn(tmp_path):
    task = Fold(STUDY, SPLIT, params().of_size(4), tmp_path, 0, "toy")
    trained = train_sound(task)
    silent = trained.reconstruct(SPLIT.test, STUDY, carried=torch.zeros_like)
    with torch.no_grad():
        drawn = trained.model.decoder(torch.zeros(1, len(SPLIT.test), 4))[0]
    torch.testing.assert_close(silent, drawn * trained.scale + trained.center)
    assert (silent - trained.reconstruct(SPLIT.test, STUDY)).abs().max() > 0.1


def test_each_seed_begins_with_weights_of_its_own(tmp_path):
    still = {"max_epochs": 1, "learning_rate": 1e-9}
    found = [sound(tmp_path / str(seed), seed=seed, training=still)[0] for seed in (0, 1)]
    assert np.abs(found[0] - found[1]).max() > 0.1
