"""Films of several systems side by side."""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

_PICTURE_WIDTH = 240
_LABEL_HEIGHT = 22


def side_by_side(
    pictures: Mapping[str, UInt8[np.ndarray, "_ _ _ _ 3"]],
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Pictures of several systems beside one another, enlarged by whole factors, names above.

    Arguments
        pictures: name -> (TR, picture, height, width, rgb). Of fewer pictures in a TR than the
            most, each is shown for longer.

    Yields
        Pictures of even height and width.
    """
    n_pictures = max(values.shape[1] for values in pictures.values())
    n_trs = min(len(values) for values in pictures.values())
    labels = {}
    for tr, index in np.ndindex(n_trs, n_pictures):
        tiles = []
        for name, values in pictures.items():
            picture = values[tr, index * values.shape[1] // n_pictures]
            factor = max(1, _PICTURE_WIDTH // picture.shape[1])
            picture = picture.repeat(factor, axis=0).repeat(factor, axis=1)
            if name not in labels:
                labels[name] = _label(name, picture.shape[1])
            tiles.append(np.concatenate([labels[name], picture]))
        height = max(len(tile) for tile in tiles)
        height += height % 2
        tiles = [np.pad(tile, ((0, height - len(tile)), (0, 0), (0, 0))) for tile in tiles]
        joined = np.concatenate(tiles, axis=1)
        yield np.pad(joined, ((0, 0), (0, joined.shape[1] % 2), (0, 0)))


def _label(name: str, width: int) -> np.ndarray:
    bar = Image.new("RGB", (width, _LABEL_HEIGHT))
    ImageDraw.Draw(bar).text((5, 3), name, fill="white", font=ImageFont.load_default(size=14))
    return np.asarray(bar)
