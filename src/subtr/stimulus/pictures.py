"""Pictures of a media file, each at the second at which it is shown."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import UInt8

from subtr.stimulus.decode import decode

# Absorbs the rounding of time stamps to binary fractions, not that of containers.
_ROUNDING_S = 1e-6


def iter_pictures(
    path: Path | str, width: int, height: int
) -> Iterator[tuple[float, UInt8[np.ndarray, "height width rgb"]]]:
    """Decodes every picture of a media file, scaled to one size.

    Yields
        Stimulus second from which the picture is shown (its presentation time stamp), and its
        red, green and blue, 0 to 255, upright when the file says how the camera was held.

    Raises
        MediaError: no such file, no media file, no picture track, or none of it decodes.
    """
    scale = _Scaler(width, height)
    for start_s, frame in decode(path, "video"):
        yield start_s, scale(frame)


def pictures_at(
    path: Path | str, times_s: Iterable[float], width: int, height: int
) -> Iterator[UInt8[np.ndarray, "height width rgb"]]:
    """The picture on screen at each of the given ascending stimulus seconds.

    That is the last one whose presentation time stamp is not later; before the first, the first;
    after the end, the last. Only pictures that are asked for are scaled.

    Raises
        MediaError: see `iter_pictures`.
    """
    times = iter(times_s)
    time_s = next(times, None)
    scale, shown, picture = _Scaler(width, height), None, None
    for start_s, frame in decode(path, "video"):
        while shown is not None and time_s is not None and time_s < start_s - _ROUNDING_S:
            picture = scale(shown) if picture is None else picture
            yield picture
            time_s = next(times, None)
        if time_s is None:
            return
        shown, picture = frame, None
    while time_s is not None:
        picture = scale(shown) if picture is None else picture
        yield picture
        time_s = next(times, None)


class _Scaler:
    """Scales by area, the mean of what a small pixel covers, and turns the picture upright."""

    def __init__(self, width: int, height: int):
        self.width, self.height = width, height
        # Kept, because setting a scaler up costs more than using it.
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "height width rgb"]:
        quarter_turns = round(frame.rotation / 90) % 4
        width, height = self.width, self.height
        if quarter_turns % 2:
            width, height = height, width
        scaled = self._reformatter.reformat(
            frame, width, height, format="rgb24", interpolation=Interpolation.AREA, threads=1
        )
        picture = scaled.to_ndarray()
        return np.ascontiguousarray(np.rot90(picture, quarter_turns)) if quarter_turns else picture
