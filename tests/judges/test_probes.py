"""Scenes and actions that are known, in originals and in films that are known to be worse."""

import numpy as np
import pytest

from subtr.datasets.simulated_film import (
    ACTIONS,
    HEIGHT,
    SCENES,
    WIDTH,
    background,
    object_positions,
)
from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing
from subtr.judges.scenes import ColourScenes, FlowActions, FolderScenes, chance
from subtr.params import SettingsError


def judge_at_hand(name):
    try:
        return load_judge(name)
    except JudgeMissing as error:
        pytest.skip(str(error))


def scenes(n_each, seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(SCENES, n_each)
    film = np.stack([background(scene, rng)[None, ::2, ::2] for scene in labels])
    return film, labels


@pytest.mark.parametrize("name", ["scenes", "scenes from colours"])
def test_known_scenes_are_told_and_noise_is_at_chance(name):
    learned = judge_at_hand(name).learn(*scenes(6, 0))
    film, labels = scenes(3, 1)
    assert learned.right(film, labels).mean() > 0.8
    assert learned.right(film / 255, labels).mean() > 0.8
    noise = np.random.default_rng(2).integers(0, 256, film.shape).astype(np.uint8)
    assert learned.right(noise, labels).mean() <= 0.4
    one_for_all = np.broadcast_to(film.mean(0, keepdims=True).astype(np.uint8), film.shape)
    assert learned.right(one_for_all, labels).mean() == pytest.approx(1 / len(SCENES))


def moving(n_each, seed, n_pictures=8):
    """A bright square in each TR of 1.5 s; a bounce meets an edge midway."""
    rng = np.random.default_rng(seed)
    labels, film = np.repeat(ACTIONS, n_each), []
    time_s = (np.arange(n_pictures) + 0.5) / n_pictures * 1.5
    rows, columns = np.mgrid[:HEIGHT:2, :WIDTH:2]
    for action in labels:
        ground = background("forest", rng)[::2, ::2]
        down = rng.uniform(0.3, 0.7) * np.pi
        track = {
            "x_px": rng.uniform(60, 100),
            "y_px": HEIGHT - 35.0 if action == "bounce" else 35.0,
            "angle": down,
            "orbit_px": 15.0,
            "radius_px": 9,
        }
        pictures = []
        for x, y in object_positions(track, action, 40.0, time_s):
            inside = (np.abs(rows - y) <= 9) & (np.abs(columns - x) <= 9)
            pictures.append(np.where(inside[..., None], (250, 240, 90), ground))
        film.append(pictures)
    return np.array(film, np.uint8), labels


def test_known_actions_are_told_and_a_film_that_stands_still_is_still():
    probe = FlowActions()
    learned = probe.learn(*moving(8, 0))
    film, labels = moving(4, 1)
    right = learned.right(film, labels)
    assert right.mean() > 0.8
    average = film.mean(1, keepdims=True).repeat(8, axis=1).astype(np.uint8)
    still = learned.classifier.predict(probe.features(average))
    assert (still == "still").mean() > 0.9
    shuffled = film[:, np.random.default_rng(0).permutation(8)]
    assert learned.right(shuffled, labels).mean() < right.mean()


def test_actions_are_the_same_whichever_way_they_go():
    film, _ = moving(2, 3)
    there = FlowActions().features(film)
    np.testing.assert_allclose(FlowActions().features(film[:, :, :, ::-1].copy()), there, atol=0.5)


def test_chance_is_the_most_frequent_of_training():
    assert chance(np.array(["a", "b", "b"]), np.array(["b", "b", "a", "c"])) == 2 / 3


def test_labels_that_cannot_be_learned_from_are_named():
    film, labels = scenes(1, 0)
    with pytest.raises(SettingsError, match="4 labels, 4 of them different, for 5 TRs"):
        ColourScenes().learn(film, labels[:4])
    with pytest.raises(SettingsError, match="5 labels, 1 of them different"):
        ColourScenes().learn(film, np.repeat("sea", 5))


def test_a_model_of_the_user_is_read_from_its_folder(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.VideoMAEConfig(
        image_size=32, patch_size=16, num_frames=4, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16,
    )  # fmt: skip
    transformers.VideoMAEModel(config).save_pretrained(tmp_path)
    film, labels = moving(1, 0)
    found = FolderScenes(folder=tmp_path).features(film)
    assert found.shape == (len(labels), 16)
    np.testing.assert_allclose(FolderScenes(folder=tmp_path).features(film[1:]), found[1:])
    assert np.abs(found[0] - found[1]).max() > 1e-4


def test_a_folder_without_a_model_is_named(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(JudgeMissing, match=r"there is no .*config\.json. Give `folder`"):
        FolderScenes(folder=tmp_path).check()
