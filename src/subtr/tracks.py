"""Boxes of an object from picture to picture, and how far two of them agree."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64


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
