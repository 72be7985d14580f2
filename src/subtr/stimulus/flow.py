"""Optical flow: how far every pixel has moved since the picture before."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

# The search compares patches of 8 pixels. On pictures of 64 x 36 pixels a patch holds an object and
# its surroundings at once; twice as large, flow comes nearer to known tracks.
_LEAST_PIXELS = 72
Pictures = UInt8[np.ndarray, "*batch picture height width rgb"]
FloatPictures = Float[np.ndarray, "*batch picture height width rgb"]
Flow = Float32[np.ndarray, "*batch picture height width xy"]


def optical_flow(pictures: Pictures | FloatPictures) -> Flow:
    """Motion at every pixel from the picture before to this one; zero for the first.

    Arguments
        pictures: red, green and blue, 0 to 255 as integers or 0 to 1 as floats, which are clipped.

    Returns
        Pixels per picture, to the right and down. What a pixel of this picture shows was, one
        picture ago, that much further to the left and up.

    Flow is found in brightness alone, on pictures enlarged to at least 72 pixels a side. Where
    nothing tells places apart it is filled in from the surroundings.

    Source: Kroeger et al. 2016, Fast optical flow using dense inverse search, OpenCV's "medium".
    """
    return _each(pictures, lambda here, there: -_flow(here, there), step=-1)


def next_flow(pictures: Pictures | FloatPictures) -> Flow:
    """Motion at every pixel from this picture to the next one; zero for the last. See above."""
    return _each(pictures, _flow, step=1)


def consistent_pixels(pictures: Pictures | FloatPictures, flow: Flow) -> Bool[np.ndarray, "..."]:
    """Where flow is to be trusted: followed back to the picture before, it leads here again.

    It does not where something has come out from behind something else, or after a cut. False for
    the first picture of each batch, which has no flow.

    Arguments
        pictures: see `optical_flow`.
        flow: theirs by `optical_flow`.

    Returns
        One truth value a pixel (batch..., picture, height, width).

    Source: Sundaram et al. 2010, Dense point trajectories by GPU-accelerated large displacement
    optical flow, equation 5.
    """
    ahead, (height, width) = next_flow(pictures), flow.shape[-3:-1]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    kept = np.zeros(flow.shape[:-1], bool)
    for index in np.ndindex(*flow.shape[:-3]):
        if index[-1] == 0:
            continue
        came, before = flow[index], (*index[:-1], index[-1] - 1)
        places = columns - came[..., 0], rows - came[..., 1]
        went = cv2.remap(ahead[before], *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside = (np.abs(places[0] - (width - 1) / 2) <= width / 2) & (
            np.abs(places[1] - (height - 1) / 2) <= height / 2
        )
        error, size = _squares(went - came), _squares(went) + _squares(came)
        kept[index] = inside & (error < 0.01 * size + 0.5 * (1 / _enlargement(height, width)) ** 2)
    return kept


def _each(pictures, flow_between, step: int) -> Flow:
    *batch, n_pictures, height, width, _ = pictures.shape
    found = np.zeros((*batch, n_pictures, height, width, 2), np.float32)
    for index in np.ndindex(*batch):
        grey = [_brightness(picture) for picture in pictures[index]]
        for number, here in enumerate(grey):
            if 0 <= number + step < n_pictures:
                enlarged = flow_between(here, grey[number + step])
                scale = np.array([width, height], np.float32) / here.shape[::-1]
                small = cv2.resize(enlarged, (width, height), interpolation=cv2.INTER_AREA)
                found[(*index, number)] = small * scale
    return found


def _flow(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    # A new one each time: it keeps buffers, which threads must not share.
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(here, there, None)


def _brightness(picture: np.ndarray) -> np.ndarray:
    if picture.dtype != np.uint8:
        picture = np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    factor = _enlargement(*grey.shape)
    if factor > 1:
        grey = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    return grey


def _enlargement(height: int, width: int) -> int:
    return -(-_LEAST_PIXELS // min(height, width))


def _squares(flow: np.ndarray) -> np.ndarray:
    return (flow**2).sum(axis=-1)
