import numpy as np
import pytest

from benchmarks.generated_tracks import generated_tracks
from subtr.datasets.simulated_film import HEIGHT, WIDTH, iter_generated_pictures, picture_scenes
from subtr.timeline import Clock

DURATION_S, SEED = 60.0, 3


@pytest.fixture(scope="module")
def tracks():
    clock = Clock.covering(DURATION_S, 1.5).with_frames(36)  # every picture of the film
    return generated_tracks(clock, DURATION_S, SEED, WIDTH, HEIGHT)


def test_the_colour_of_an_object_fills_its_box(tracks):
    scenes, objects = picture_scenes(DURATION_S, 1.5, SEED)
    shown = list(iter_generated_pictures(scenes, objects, SEED))
    colours = objects[["red", "green", "blue"]].to_numpy()
    for track in tracks:
        time_s = track.first / 24
        (scene,) = np.flatnonzero(
            (scenes["onset_s"] <= time_s + 1e-6)
            & (scenes["onset_s"] + scenes["duration_s"] > time_s + 1e-6)
        )
        own = colours[objects["scene_index"] == scene]
        for number in range(0, len(track.boxes), 7):
            if not track.seen[number]:
                continue
            left, top, wide, tall = track.boxes[number]
            assert wide == tall
            inside = shown[track.first + number][
                max(0, round(top)) : round(top + tall), max(0, round(left)) : round(left + wide)
            ]
            # A disc that is half covered fills least, pi / 8.
            share = max((inside == colour).all(-1).sum() / (wide * tall) for colour in own)
            assert share > 0.3


def test_tracks_are_of_moving_objects_and_never_jump(tracks):
    assert len(tracks) > 10
    for track in tracks:
        assert track.seen[0]
        step = np.abs(np.diff(track.boxes[:, :2], axis=0)).max()
        assert 0 < step <= 80 / 24 + 1e-6


def test_smaller_pictures_have_the_same_tracks_in_smaller_pixels(tracks):
    clock = Clock.covering(DURATION_S, 1.5).with_frames(36)
    small = generated_tracks(clock, DURATION_S, SEED, WIDTH // 2, HEIGHT // 2)
    assert len(small) == len(tracks)
    for one, other in zip(small, tracks, strict=True):
        np.testing.assert_allclose(2 * one.boxes, other.boxes)
        assert one.first == other.first
