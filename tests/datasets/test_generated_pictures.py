import numpy as np
import pytest

from subtr.datasets.simulated_film import (
    ACTIONS,
    HEIGHT,
    SCENES,
    WIDTH,
    background,
    iter_generated_pictures,
    object_positions,
    picture_scenes,
)

TIME_S = np.arange(0, 6, 1 / 24)
TRACK = {"x_px": 50.0, "y_px": 40.0, "angle": 0.7, "orbit_px": 20.0, "radius_px": 8}


@pytest.mark.parametrize("speed", [10.0, 40.0])
@pytest.mark.parametrize("action", ACTIONS)
def test_objects_start_at_their_place_and_move_at_their_speed(action, speed):
    track = object_positions(TRACK, action, speed, TIME_S)
    np.testing.assert_allclose(track[0], [50, 40])
    step = np.linalg.norm(np.diff(track, axis=0), axis=1) * 24
    want = 0 if action == "still" else speed
    assert np.median(step) == pytest.approx(want, rel=0.02)


def test_bounces_stay_inside_and_orbits_keep_their_radius():
    bounce = object_positions(TRACK, "bounce", 80.0, TIME_S)
    assert bounce.min() >= 8
    assert (bounce.max(0) <= [WIDTH - 8, HEIGHT - 8]).all()
    orbit = object_positions(TRACK, "orbit", 40.0, TIME_S)
    middle = np.array([50 - 20 * np.cos(0.7), 40 - 20 * np.sin(0.7)])
    np.testing.assert_allclose(np.linalg.norm(orbit - middle, axis=1), 20)


def test_an_object_is_seen_where_its_track_is():
    scenes, objects = picture_scenes(30.0, 1.5, 2)
    pictures = list(iter_generated_pictures(scenes, objects, 2))
    assert len(pictures) == 30 * 24
    for index, scene in scenes.iterrows():
        last = objects[objects["scene_index"] == index].iloc[-1]  # drawn over the others
        first = round(scene["onset_s"] * 24)
        time_s = np.array([0.0, 1.0])
        track = object_positions(last.to_dict(), scene["action"], scene["speed_px_s"], time_s)
        for shown, (x_px, y_px) in zip((first, first + 24), track, strict=True):
            row, column = min(round(y_px), HEIGHT - 1), min(round(x_px), WIDTH - 1)
            assert tuple(pictures[shown][row, column]) == tuple(last[["red", "green", "blue"]])


def test_the_same_seed_gives_the_same_pictures():
    one, other, third = (
        next(iter_generated_pictures(*picture_scenes(30.0, 1.5, seed), seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, other)
    assert (one != third).mean() > 0.5


def test_speed_and_action_do_not_know_the_scene():
    scenes, objects = picture_scenes(20_000.0, 1.5, 0)
    assert set(scenes["scene"]) == set(SCENES)
    assert len(objects) == scenes["n_objects"].sum()
    moving = scenes[scenes["action"] != "still"]
    mean = moving.groupby("scene")["speed_px_s"].mean()
    assert mean.max() / mean.min() < 1.15
    share = scenes.groupby("scene")["action"].value_counts(normalize=True)
    assert share.between(0.2, 0.3).all()


def test_scenes_look_different():
    rng = np.random.default_rng(0)
    colours = {s: np.mean([background(s, rng).mean((0, 1)) for _ in range(5)], 0) for s in SCENES}
    for a in SCENES:
        for b in SCENES:
            assert a == b or np.abs(colours[a] - colours[b]).max() > 15
