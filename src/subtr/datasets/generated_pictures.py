"""Generated pictures: labelled scenes with moving objects whose tracks are known in closed form."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float64, UInt8
from scipy.ndimage import gaussian_filter

WIDTH, HEIGHT, PICTURE_HZ = 160, 90, 24
SCENES = ("indoor", "street", "sea", "forest", "desert")
ACTIONS = ("still", "drift", "bounce", "orbit")
SPEEDS_PX_S = (10.0, 20.0, 40.0, 80.0)
SHAPES = ("disc", "square")
_SCENE_TRS = (2, 6)


def picture_scenes(
    duration_s: float | int, tr_s: float | int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The plan of the pictures: scenes, and the objects that move in them.

    Scenes last 2 to 5 whole TRs (at least 1.5 s); scene, action and speed are drawn independently.

    Returns
        scenes: onset_s, duration_s, scene (of ``SCENES``), action (of ``ACTIONS``), speed_px_s (0
            for still), n_objects (1 to 3).
        objects: row of its scene (scene_index), shape (of ``SHAPES``), radius_px, red, green,
            blue, and its track: x_px, y_px at the scene's onset, angle (direction of movement, or
            place on the orbit, in radians), orbit_px (radius). See ``object_positions``.
    """
    rng = np.random.default_rng([seed, 11])
    shortest, longest = (max(n, math.ceil(n * 0.75 / tr_s)) for n in _SCENE_TRS)
    n_trs = math.ceil(duration_s / tr_s - 1e-9)
    lengths = rng.integers(shortest, longest, n_trs)
    lengths = lengths[: np.searchsorted(np.cumsum(lengths), n_trs) + 1]
    ends_s = np.minimum(np.cumsum(lengths) * tr_s, duration_s)
    onsets_s = np.concatenate([[0.0], ends_s[:-1]])
    n = len(lengths)
    action = rng.choice(ACTIONS, n)
    scenes = pd.DataFrame(
        {
            "onset_s": onsets_s,
            "duration_s": ends_s - onsets_s,
            "scene": rng.choice(SCENES, n),
            "action": action,
            "speed_px_s": np.where(action == "still", 0.0, rng.choice(SPEEDS_PX_S, n)),
            "n_objects": rng.integers(1, 4, n),
        }
    )
    index = np.repeat(np.arange(n), scenes["n_objects"])
    m = len(index)
    colours = rng.integers(0, 256, (m, 3))
    objects = pd.DataFrame(
        {
            "scene_index": index,
            "shape": rng.choice(SHAPES, m),
            "radius_px": rng.integers(6, 13, m),
            "red": colours[:, 0],
            "green": colours[:, 1],
            "blue": colours[:, 2],
            "x_px": rng.uniform(30, WIDTH - 30, m),
            "y_px": rng.uniform(25, HEIGHT - 25, m),
            "angle": rng.uniform(0, 2 * np.pi, m),
            "orbit_px": rng.uniform(10, 25, m),
        }
    )
    return scenes, objects


def object_positions(
    track: dict, action: str, speed_px_s: float | int, time_s: Float64[np.ndarray, " time"]
) -> Float64[np.ndarray, "time xy"]:
    """Where the middle of an object is, ``time_s`` after the onset of its scene, in pixels.

    still: stays; drift: a straight line that leaves on one side and returns on the other;
    bounce: a straight line reflected at the edges; orbit: a circle, ``speed_px_s`` along it.
    """
    start = np.array([track["x_px"], track["y_px"]])
    size = np.array([WIDTH, HEIGHT], dtype=np.float64)
    direction = np.array([np.cos(track["angle"]), np.sin(track["angle"])])
    line = start + speed_px_s * time_s[:, None] * direction
    if action == "drift":
        return line % size
    if action == "bounce":
        radius = track["radius_px"]
        room = size - 2 * radius
        return radius + room - np.abs((line - radius) % (2 * room) - room)
    if action == "orbit":
        turn = track["angle"] + speed_px_s / track["orbit_px"] * time_s
        circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        return start + track["orbit_px"] * (circle - direction)
    return np.broadcast_to(start, (len(time_s), 2)).copy()


def iter_generated_pictures(
    scenes: pd.DataFrame, objects: pd.DataFrame, seed: int
) -> Iterator[UInt8[np.ndarray, "height width rgb"]]:
    """The pictures of ``picture_scenes``, ``PICTURE_HZ`` a second; picture i is at i / hz."""
    for index, scene in enumerate(scenes.to_dict("records")):
        end_s = scene["onset_s"] + scene["duration_s"]
        # A picture belongs to the scene that has begun when it is shown.
        first, last = (
            math.ceil(second * PICTURE_HZ - 1e-6) for second in (scene["onset_s"], end_s)
        )
        time_s = np.arange(first, last) / PICTURE_HZ - scene["onset_s"]
        ground = background(scene["scene"], np.random.default_rng([seed, 12, index]))
        tracks = objects[objects["scene_index"] == index].to_dict("records")
        positions = [
            object_positions(track, scene["action"], scene["speed_px_s"], time_s)
            for track in tracks
        ]
        for shown in range(len(time_s)):
            picture = ground.copy()
            for track, position in zip(tracks, positions, strict=True):
                _draw(picture, track, *position[shown])
            yield picture


def background(scene: str, rng: np.random.Generator) -> UInt8[np.ndarray, "height width rgb"]:
    """A still of ``SCENES``: flat colours, a few shapes and a texture, all drawn at random."""
    picture = np.zeros((HEIGHT, WIDTH, 3))
    horizon = int(rng.integers(35, 60))
    above, below = {
        "indoor": ((205, 180, 140), (120, 75, 45)),
        "street": ((150, 165, 185), (75, 75, 80)),
        "sea": ((130, 190, 235), (20, 70, 130)),
        "forest": ((70, 120, 60), (45, 60, 25)),
        "desert": ((240, 200, 130), (215, 165, 95)),
    }[scene]
    picture[:horizon], picture[horizon:] = above, below
    if scene == "indoor":
        left = int(rng.integers(10, 110))
        picture[8 : horizon - 8, left : left + 35] = (215, 235, 250)
    elif scene == "street":
        for left in range(0, WIDTH, 20):
            top = int(rng.integers(5, horizon))
            picture[top:horizon, left : left + 18] = rng.integers(70, 150)
    elif scene == "sea":
        waves = 18 * np.sin(np.arange(HEIGHT - horizon) * rng.uniform(0.7, 1.3))
        picture[horizon:] += waves[:, None, None]
    elif scene == "forest":
        for left in rng.integers(0, WIDTH - 6, 12):
            picture[: horizon + 10, left : left + 5] = (80, 55, 30)
    else:
        columns = np.arange(WIDTH)
        dune = horizon + 8 * np.sin(columns * rng.uniform(0.03, 0.08) + rng.uniform(0, 6))
        picture[np.arange(HEIGHT)[:, None] > dune] = (190, 135, 70)
    texture = gaussian_filter(rng.standard_normal((HEIGHT, WIDTH)), 2.0)
    picture += (rng.uniform(0.85, 1.15) - 1) * picture + 40 * texture[..., None]
    return np.clip(picture, 0, 255).astype(np.uint8)


def _draw(picture, track, x_px, y_px):
    radius = track["radius_px"]
    top, left = max(int(y_px - radius), 0), max(int(x_px - radius), 0)
    bottom, right = int(y_px + radius) + 2, int(x_px + radius) + 2
    window = picture[top:bottom, left:right]
    rows = np.arange(top, top + window.shape[0])[:, None] - y_px
    columns = np.arange(left, left + window.shape[1])[None, :] - x_px
    if track["shape"] == "disc":
        inside = rows**2 + columns**2 <= radius**2
    else:
        inside = (np.abs(rows) <= radius) & (np.abs(columns) <= radius)
    window[inside] = (track["red"], track["green"], track["blue"])
