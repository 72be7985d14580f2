"""Where the generated film's objects are on the pictures of a clock: the truth for trackers."""

import math

import numpy as np
from jaxtyping import Bool, Float64

from subtr.datasets.simulated_film import (
    HEIGHT,
    PICTURE_HZ,
    WIDTH,
    object_positions,
    picture_scenes,
)
from subtr.judges.video import Track
from subtr.timeline import Clock

# Of an object that is half covered or half outside, nobody could tell the box.
_SEEN_SHARE = 0.5


def generated_tracks(
    clock: Clock, duration_s: float | int, seed: int, width: int, height: int
) -> list[Track]:
    """Boxes of all moving objects of `picture_scenes`, one track an object and scene.

    A track begins at the first picture that shows at least half of the object, and ends with the
    scene, or when the object leaves on one side to return on the other. Objects that stand still
    have none: a tracker cannot lose them.

    Arguments
        clock: with as many frames a TR as there are pictures.
        duration_s, seed: of the generated film.
        width, height: of the pictures, in pixels.
    """
    scenes, objects = picture_scenes(duration_s, clock.tr_s, seed)
    # The picture on screen is the last one whose time has come.
    shown_s = np.floor(clock.frame_times_s().ravel() * PICTURE_HZ + 1e-6) / PICTURE_HZ
    scale = np.array([width / WIDTH, height / HEIGHT])
    found = []
    for index, scene in scenes.iterrows():
        if scene["action"] == "still":
            continue
        onset_s = math.ceil(scene["onset_s"] * PICTURE_HZ - 1e-6) / PICTURE_HZ
        end_s = scene["onset_s"] + scene["duration_s"]
        pictures = np.flatnonzero((shown_s > onset_s - 1e-6) & (shown_s < end_s - 1e-6))
        if not len(pictures):
            continue
        own = objects[objects["scene_index"] == index].to_dict("records")
        time_s = shown_s[pictures] - scene["onset_s"]
        places = [object_positions(o, scene["action"], scene["speed_px_s"], time_s) for o in own]
        for number, one in enumerate(own):
            seen = _seen(own, places, number)
            kept = _until_it_returns(places[number], seen)
            radius = one["radius_px"] * scale
            middle = (places[number][kept] + 0.5) * scale
            boxes = np.hstack([middle - radius, np.broadcast_to(2 * radius, middle.shape)])
            if kept.stop - kept.start > 1:
                found.append(Track(int(pictures[kept.start]), boxes, seen[kept]))
    return found


def _until_it_returns(place: Float64[np.ndarray, "time xy"], seen) -> slice:
    """From where it is first seen to the picture before it jumps to the other side."""
    if not seen.any():
        return slice(0, 0)
    first = int(np.argmax(seen))
    jumps = np.flatnonzero(
        (np.abs(np.diff(place[first:], axis=0)) > (WIDTH / 2, HEIGHT / 2)).any(1)
    )
    return slice(first, first + int(jumps[0]) + 1 if len(jumps) else len(place))


def _seen(objects: list[dict], places: list, number: int) -> Bool[np.ndarray, " time"]:
    """Whether at least half of the object is inside the picture and not behind later ones."""
    whole = _mask(objects[number], 0.0, 0.0, 2 * WIDTH).sum()
    shares = []
    for moment in range(len(places[number])):
        mask = _mask(objects[number], *places[number][moment])
        for other in range(number + 1, len(objects)):
            mask &= ~_mask(objects[other], *places[other][moment])
        shares.append(mask.sum() / whole)
    return np.array(shares) >= _SEEN_SHARE


def _mask(track: dict, x_px: float, y_px: float, margin: int = 0) -> Bool[np.ndarray, "h w"]:
    rows = np.arange(-margin, HEIGHT + margin)[:, None] - y_px
    columns = np.arange(-margin, WIDTH + margin)[None, :] - x_px
    radius = track["radius_px"]
    if track["shape"] == "disc":
        return rows**2 + columns**2 <= radius**2
    return (np.abs(rows) <= radius) & (np.abs(columns) <= radius)
