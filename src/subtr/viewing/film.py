"""Films of several systems side by side, with sound."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64, UInt8
from PIL import Image, ImageDraw, ImageFont

from subtr.stimulus.media import resample
from subtr.stimulus.pictures import AAC_HZ, write_film
from subtr.timeline import Clock

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


def film_of(
    file: Path,
    clock: Clock,
    trs: Int64[np.ndarray, " tr"],
    pictures: Mapping[str, UInt8[np.ndarray, "all_tr _ _ _ 3"]],
    heard: tuple[Float[np.ndarray, " sample"], int] | None,
) -> Path:
    """Writes some TRs of several systems side by side, with sound (samples, rate) if any.

    Raises
        MediaError: see `write_film`.
    """
    sound, rate_hz = heard or (None, None)
    if rate_hz is not None and rate_hz not in AAC_HZ:
        sound, rate_hz = resample(sound, rate_hz, 48000), 48000
    shown = {name: values[trs] for name, values in pictures.items()}
    picture_hz = max(values.shape[1] for values in shown.values()) / clock.tr_s
    return write_film(file, side_by_side(shown), picture_hz, sound, rate_hz)


def _label(name: str, width: int) -> np.ndarray:
    bar = Image.new("RGB", (width, _LABEL_HEIGHT))
    ImageDraw.Draw(bar).text((5, 3), name, fill="white", font=ImageFont.load_default(size=14))
    return np.asarray(bar)
