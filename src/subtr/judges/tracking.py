"""Judges of motion: tracks of an object."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, Shaped

from subtr.judges.judge import Judge, as_bytes, enlarged, enlargement
from subtr.params import SettingsError
from subtr.stimulus.flow import consistent_pixels, next_flow, optical_flow


@dataclass(frozen=True)
class Track:
    """Where one object is, from the picture ``first`` of a film on.

    boxes: left, top, width and height in pixels; a pixel's left edge is its column's number.
    seen: False where no box can be told, as behind another object.
    """

    first: int
    boxes: Float[np.ndarray, "picture 4"]
    seen: Bool[np.ndarray, " picture"]


def overlaps(
    one: Float[np.ndarray, "picture 4"], other: Float[np.ndarray, "picture 4"]
) -> Float64[np.ndarray, " picture"]:
    """Intersection over union of each pair of boxes; 0 where one is empty.

    Source: Everingham et al. 2010, The PASCAL visual object classes challenge, equation 3.
    """
    one, other = one.astype(np.float64), other.astype(np.float64)
    low = np.maximum(one[:, :2], other[:, :2])
    high = np.minimum(one[:, :2] + one[:, 2:], other[:, :2] + other[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    union = one[:, 2:].prod(axis=1) + other[:, 2:].prod(axis=1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


# Pixels per picture; slower things need no tracker.
_LEAST_SPEED = 0.5

Pictures = Shaped[np.ndarray, "picture height width 3"]


@dataclass(frozen=True)
class Followed:
    """How a tracker's boxes agree with the known ones.

    overlap: intersection over union at each picture of each track where the object is seen, the
        first left out, from which the tracker was started.
    picture: the number of that picture in its film.
    """

    overlap: Float64[np.ndarray, " box"]
    picture: Int64[np.ndarray, " box"]

    def success(self, threshold: float = 0.5) -> float:
        """Share of boxes that overlap by more than the threshold; NaN without boxes."""
        return float((self.overlap > threshold).mean()) if len(self.overlap) else float("nan")

    def area_under_success(self) -> float:
        """Success averaged over thresholds of 0 to 1 in steps of 0.05; at most 20/21.

        Source: Wu, Lim and Yang 2013, Online object tracking: a benchmark, section 3.
        """
        return float(np.mean([self.success(threshold) for threshold in np.linspace(0, 1, 21)]))

    def per_tr(self, n_trs: int, pictures_per_tr: int) -> Float64[np.ndarray, "tr 2"]:
        """Boxes that overlap by more than half, and all boxes, of each TR, for a bootstrap."""
        tr = self.picture // pictures_per_tr
        kept = np.bincount(tr, self.overlap > 0.5, n_trs)
        return np.stack([kept, np.bincount(tr, minlength=n_trs)], axis=1)


@dataclass(frozen=True, kw_only=True)
class ObjectTracker(Judge):
    """OpenCV's CSRT, started on a box of a track's first picture, then left alone.

    Options
        least_pixels: pictures are enlarged by a whole number to have it on each side; the tracker
            takes whole pixels.
        padding: how far around a box it searches, in sizes of the box. Between pictures 187 ms
            apart, as 8 a TR are, things move by their own size, further than with its default of 3.
        template_pixels: side of what it compares.
    """

    name: ClassVar[str] = "tracking"
    criterion: ClassVar[str] = "object tracking"
    package: ClassVar[str] = "opencv-contrib-python-headless"
    licence: ClassVar[str] = "Apache-2.0"
    source: ClassVar[str] = "Lukezic et al. 2017, Discriminative correlation filter (CSR-DCF)"

    least_pixels: int = 144
    padding: float = 5.0
    template_pixels: int = 100

    def check(self) -> None:
        """See `Judge.check`."""
        if not hasattr(cv2, "TrackerCSRT_create"):
            raise self.missing(
                f"OpenCV {cv2.__version__} has no CSRT",
                "Put opencv-contrib-python-headless in the place of every other opencv package",
            )

    def follow(self, pictures: Pictures, tracks: list[Track]) -> Followed:
        """Follows each track's object from its first box, and compares with its known boxes.

        Arguments
            pictures: 0 to 255 as integers or 0 to 1 as floats, in their order.

        Raises
            SettingsError: a track leaves the film or begins outside of its pictures; pictures that
                are not finite.
            JudgeMissing: see `check`.
        """
        overlap, picture = [], []
        for track in tracks:
            found = self.boxes(pictures, track)
            seen = track.seen.copy()
            seen[0] = False
            overlap.append(overlaps(found, track.boxes)[seen])
            picture.append(track.first + np.flatnonzero(seen))
        none = np.zeros(0, np.int64)
        return Followed(np.concatenate([np.zeros(0), *overlap]), np.concatenate([none, *picture]))

    def boxes(self, pictures: Pictures, track: Track) -> Float64[np.ndarray, "box 4"]:
        """Boxes that it finds for a track, the first as given; 0 where lost. See `follow`."""
        self.check()
        first, n_pictures = track.first, len(track.boxes)
        if first < 0 or first + n_pictures > len(pictures):
            raise SettingsError(
                f"a track of pictures {first} to {first + n_pictures - 1} in a film of "
                f"{len(pictures)}: cut it to what the film shows."
            )
        height, width = pictures.shape[1:3]
        left, top, wide, tall = track.boxes[0]
        if min(left + wide, width) <= max(left, 0) or min(top + tall, height) <= max(top, 0):
            raise SettingsError(
                f"the first box {track.boxes[0].tolist()} of a track shows nothing of pictures of "
                f"{width} x {height} pixels: begin where the object is seen."
            )
        shown = as_bytes(pictures[first : first + n_pictures])
        factor = enlargement(*shown.shape[1:3], self.least_pixels)
        tracker = self._tracker()
        found = np.zeros((n_pictures, 4))
        found[0] = track.boxes[0]
        for number, picture in enumerate(shown):
            large = cv2.cvtColor(enlarged(picture, self.least_pixels), cv2.COLOR_RGB2BGR)
            if number == 0:
                box = np.rint(track.boxes[0] * factor).astype(int)
                tracker.init(large, [int(side) for side in box])
                continue
            kept, box = tracker.update(large)
            if kept:
                found[number] = np.array(box) / factor
        return found

    def _tracker(self) -> Any:
        params = cv2.TrackerCSRT_Params()
        params.padding, params.template_size = self.padding, self.template_pixels
        return cv2.TrackerCSRT_create(params)

    def reference_tracks(
        self, pictures: Pictures, pictures_per_tr: int, n_each: int = 2, side: float = 0.25
    ) -> list[Track]:
        """Tracks of what moves in an original for which none are known, TR by TR.

        Boxes are put where the flow of a TR is fastest, and followed on the original; those are
        kept that lead back to within half of the first box when followed backwards, so what is
        left is what this tracker can follow. Against them the original itself scores 1.

        Arguments
            n_each: most tracks of a TR.
            side: of a box, as a share of the pictures' height.
        """
        found = []
        for first in range(0, len(pictures) - pictures_per_tr + 1, pictures_per_tr):
            shown = pictures[first : first + pictures_per_tr]
            for box in _moving_boxes(shown, n_each, side):
                start = Track(0, np.tile(box, (len(shown), 1)), np.ones(len(shown), bool))
                boxes = self.boxes(shown, start)
                if not boxes[:, 2:].all():
                    continue  # lost even forwards
                back = self.boxes(shown[::-1], replace(start, boxes=boxes[::-1].copy()))
                if overlaps(back[-1:], box[None])[0] > 0.5:
                    found.append(Track(first, boxes, start.seen))
        return found


def _moving_boxes(shown: Pictures, n_each: int, side: float) -> list[Float[np.ndarray, " 4"]]:
    trusted = consistent_pixels(shown, optical_flow(shown))[1:].any(0)
    # Where something is at the first picture and moves from there.
    speed = np.linalg.norm(next_flow(shown)[0], axis=-1) * trusted
    height, width = speed.shape
    size = max(2, round(side * height))
    filled = cv2.boxFilter(speed, -1, (size, size))
    found = []
    margin = size // 2 + 1
    allowed = np.zeros((height, width), bool)
    allowed[margin : height - margin, margin : width - margin] = True
    for _ in range(n_each):
        filled = np.where(allowed, filled, 0)
        row, column = np.unravel_index(filled.argmax(), filled.shape)
        if filled[row, column] < _LEAST_SPEED:
            break
        found.append(np.array([column - size / 2 + 0.5, row - size / 2 + 0.5, size, size]))
        near = slice(max(0, row - size), row + size + 1)
        allowed[near, max(0, column - size) : column + size + 1] = False
    return found
