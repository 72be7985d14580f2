"""Pictures of a film, on the clock of the scanner."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from pydantic import BaseModel, ConfigDict, Field
from tqdm.auto import tqdm

from subtr.stimulus.cache import cached_array, write_array
from subtr.stimulus.container import checked_path
from subtr.stimulus.pictures import pictures_at
from subtr.timeline import Clock


class PictureSettings(BaseModel):
    """Size in pixels and number per TR of the pictures that a model sees.

    The film is stretched to this size; choose a width and height of about its own proportions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    width: int = Field(64, ge=1, le=8192)
    height: int = Field(36, ge=1, le=8192)
    frames_per_tr: int = Field(8, ge=1, le=1024)


def pictures_of_media(
    path: Path | str,
    clock: Clock,
    settings: PictureSettings | None = None,
    out_file: Path | None = None,
) -> UInt8[np.ndarray, "tr frame height width rgb"]:
    """The picture on screen at the centre of each frame, by presentation time stamps.

    Decoded in a stream and written TR by TR, so memory does not grow with the film.

    Arguments
        path: a media file.
        clock: the scanner's; its own `frames_per_tr` give way to those of the settings.
        settings: see `PictureSettings`.
        out_file: a .npy file to write; by default the array goes to the cache.

    Returns
        Red, green and blue, 0 to 255, read-only and read from disk as it is used.

    Raises
        MediaError: no such file, no media file, no picture track, or none of it decodes.
        CacheError: the cache or `out_file` cannot be written.
    """
    settings = settings or PictureSettings()
    clock = clock.with_frames(settings.frames_per_tr)

    def compute() -> Iterator[np.ndarray]:
        trs = iter_picture_trs(path, clock, settings, block_trs=1)
        bar = {"total": clock.n_trs, "desc": "pictures", "unit": "TR", "delay": 3}
        return iter(tqdm(trs, **bar, disable=None))

    if out_file is not None:
        return write_array(out_file, compute())
    key = settings.model_dump() | {"clock": vars(clock)}
    return cached_array("pictures", checked_path(path), key, compute)


def iter_picture_trs(
    path: Path | str, clock: Clock, settings: PictureSettings, block_trs: int, first_tr: int = 0
) -> Iterator[UInt8[np.ndarray, "_ frame height width rgb"]]:
    """`pictures_of_media` block by block from a TR on, in bounded memory and without the cache.

    Arguments
        block_trs: TRs of a block; the last may be shorter.
        first_tr: the first of the first block. What comes before is decoded, but goes no further.

    Raises
        MediaError: see `pictures_of_media`.
    """
    n_pictures = settings.frames_per_tr
    times_s = clock.with_frames(n_pictures).frame_times_s()[first_tr:].ravel()
    pictures = pictures_at(path, times_s, settings.width, settings.height)
    while block := list(islice(pictures, block_trs * n_pictures)):
        yield np.stack(block).reshape(-1, n_pictures, *block[0].shape)
