"""An object whose track is known, and what becomes of it in films that are known to be worse."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing
from subtr.judges.video import Followed, ObjectTracker, Track
from subtr.params import SettingsError

N_TRS, PER_TR, SIDE = 3, 8, 10

needs_csrt = pytest.mark.skipif(
    not hasattr(cv2, "TrackerCSRT_create"), reason="this OpenCV has no CSRT (contrib has)"
)


@pytest.fixture(scope="module")
def moving():
    """A textured square that moves by 2 pixels a picture, to the right and then back."""
    rng = np.random.default_rng(0)
    ground, front = (
        127 + 100 * noise / np.abs(noise).max()
        for noise in (gaussian_filter(rng.standard_normal((99, 99, 3)), (s, s, 0)) for s in (3, 1))
    )
    pictures, boxes = [], []
    for number in range(N_TRS * PER_TR):
        left = 6 + 2 * (number if number < 20 else 40 - number)
        picture = ground[:36, :64].copy()
        picture[14 : 14 + SIDE, left : left + SIDE] = front[:SIDE, :SIDE]
        pictures.append(picture)
        boxes.append((left, 14, SIDE, SIDE))
    boxes = np.array(boxes, float)
    return np.rint(pictures).astype(np.uint8), Track(0, boxes, np.ones(len(boxes), bool))


def in_trs(pictures):
    return pictures.reshape(N_TRS, PER_TR, *pictures.shape[1:])


@needs_csrt
def test_a_known_track_is_followed_in_the_original_and_lost_in_what_is_worse(moving):
    pictures, track = moving
    judge = load_judge("tracking")
    success = {"original": judge.follow(pictures, [track]).success()}
    average = np.rint(in_trs(pictures).mean(1, keepdims=True)).repeat(PER_TR, 1)
    noise = np.random.default_rng(1).integers(0, 256, pictures.shape)
    shuffled = in_trs(pictures)[:, np.random.default_rng(2).permutation(PER_TR)]
    for name, film in (("average", average), ("noise", noise), ("shuffled", shuffled)):
        film = film.reshape(pictures.shape).astype(np.uint8)
        success[name] = judge.follow(film, [track]).success()
    assert success["original"] > 0.95
    assert max(success["average"], success["noise"]) < 0.4
    assert success["shuffled"] < success["original"] - 0.2


@needs_csrt
def test_tracks_that_are_not_known_are_found_on_the_original(moving):
    pictures, track = moving
    judge = ObjectTracker()
    found = judge.reference_tracks(pictures, PER_TR, n_each=1)
    assert len(found) >= 2
    for one in found:
        middle = one.boxes[:, :2] + one.boxes[:, 2:] / 2
        known = track.boxes[one.first : one.first + PER_TR]
        assert np.abs(middle - known[:, :2] - SIDE / 2).max() < SIDE / 2 + 2
    assert judge.follow(pictures, found).success() == 1
    still = np.repeat(pictures[::PER_TR], PER_TR, axis=0)
    assert judge.follow(still, found).success() < 0.7
    assert judge.reference_tracks(still, PER_TR) == []


def test_success_of_known_overlaps():
    followed = Followed(np.array([1.0, 0.6, 0.4, 0.0]), np.array([1, 2, 9, 17]))
    assert followed.success() == 0.5
    assert followed.success(0.9) == 0.25
    np.testing.assert_array_equal(followed.per_tr(3, 8), [[2, 2], [0, 1], [0, 1]])
    perfect = Followed(np.ones(5), np.arange(5))
    assert perfect.area_under_success() == pytest.approx(20 / 21)
    assert np.isnan(Followed(np.zeros(0), np.zeros(0, int)).success())


@needs_csrt
def test_a_track_that_leaves_the_film_is_named(moving):
    pictures, track = moving
    with pytest.raises(SettingsError, match="a track of pictures 0 to 23 in a film of 10"):
        ObjectTracker().follow(pictures[:10], [track])


@needs_csrt
def test_a_track_that_begins_outside_of_the_pictures_is_named(moving):
    pictures, _ = moving
    for box in ((70.0, 5, 9, 9), (5.0, 5, 0, 0), (5.0, -9, 9, 9)):
        outside = Track(0, np.tile(box, (2, 1)), np.ones(2, bool))
        with pytest.raises(SettingsError, match="begin where the object is seen"):
            ObjectTracker().follow(pictures, [outside])


@needs_csrt
def test_what_vanishes_is_no_reference(moving):
    pictures, _ = moving
    vanishing = pictures[:PER_TR].copy()
    vanishing[2:] = 127
    assert ObjectTracker().reference_tracks(vanishing, PER_TR, n_each=1) == []


def test_an_opencv_without_the_tracker_is_named(monkeypatch):
    monkeypatch.delattr(cv2, "TrackerCSRT_create", raising=False)
    with pytest.raises(JudgeMissing, match="opencv-contrib-python-headless in the place of"):
        load_judge("tracking")
