"""From the blocks of a film to its mp4."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from tqdm.auto import tqdm

from subtr.film_reconstruction.drawing import draw_blocks
from subtr.film_reconstruction.parts import Parts
from subtr.film_reconstruction.plan import FilmPlan
from subtr.params import SettingsError
from subtr.stimulus.media import iter_resampled
from subtr.stimulus.pictures import AAC_HZ, write_film

_PIECES = "pieces"


def reconstruct_film(plan: FilmPlan, out: Path | str) -> Path:
    """Writes the film as its models draw it: H.264 and AAC in mp4, sound and pictures in sync.

    Picture k of a TR is drawn from what was on screen at the middle of its share of the TR, and
    shown for that share. Both tracks end where the film ends, the pictures by less than one later.

    Beside ``out``, a folder .<name>.parts keeps what is finished: per TR, 4 bytes a value of the
    log-mel and a sample of sound, and 1 a value of the pictures. The same call after an
    interruption goes on from there and gives the same film; another plan begins anew. The folder
    is removed at the end.

    Arguments
        plan: see `plan_film`. A fit of n steps makes the decoder draw, and differentiate, each
            block n times more.
        out: an .mp4.

    Raises
        SettingsError: another ending than .mp4, or the film itself.
        MediaError: the film cannot be decoded, or ``out`` not be written.
        PartsError: the disk is full, or cannot be written. What is finished is kept.
        KeyboardInterrupt: after Ctrl-C; the same call goes on.
    """
    out = Path(out)
    if out.suffix.lower() != ".mp4":
        raise SettingsError(f"out = {str(out)!r}: expected a file that ends in .mp4")
    if out.resolve() == plan.info.path.resolve():
        raise SettingsError(f"out = {str(out)!r} is the film itself: choose another name.")
    parts = Parts(out.with_name(f".{out.name}.parts"), plan.job)
    pictures = picture_hz = sound = rate_hz = None
    if "pictures" in plan.models:
        draw_blocks(plan, "pictures", parts)
        picture_hz = plan.clock_of("pictures").frame_hz
        pictures = _pictures(plan, parts, picture_hz)
    if "sound" in plan.models:
        draw_blocks(plan, "sound", parts)
        rate_hz = _keep_sound(plan, parts)
        sound = _first(parts.read(_PIECES), round(plan.info.duration_s * rate_hz))
        if rate_hz not in AAC_HZ:
            sound, rate_hz = iter_resampled(sound, rate_hz, 48000), 48000
    # Among the parts, so that a killed run leaves nothing elsewhere.
    parts.finish(write_film(parts.folder / out.name, pictures, picture_hz, sound, rate_hz), out)
    return out


def _keep_sound(plan: FilmPlan, parts: Parts) -> int:
    """Keeps the film's sound in pieces, those that are there already aside; samples a second."""
    clock, done = plan.clock_of("sound"), parts.count(_PIECES)
    vocoder = plan.vocoder.choose(plan.models["sound"].spec.mel).vocoder
    n_samples = round(clock.duration_s * vocoder.rate_hz)
    n_done = sum(len(piece) for piece in parts.read(_PIECES))
    if n_done == n_samples:
        return vocoder.rate_hz
    with tqdm(total=round(clock.duration_s), desc="sound from log-mel", unit="s", delay=3,
              disable=None) as bar:  # fmt: skip
        bar.update(n_done / vocoder.rate_hz)
        for index, piece in enumerate(vocoder.stream(parts.read("sound"), clock, done), done):
            parts.keep(_PIECES, index, piece)
            bar.update(len(piece) / vocoder.rate_hz)
    return vocoder.rate_hz


def _pictures(
    plan: FilmPlan, parts: Parts, picture_hz: float
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    left = max(1, math.ceil(plan.info.duration_s * picture_hz - 1e-6))
    for block in parts.read("pictures"):
        for picture in block.reshape(-1, *block.shape[2:])[:left]:
            # H.264 has even sizes alone.
            height, width = picture.shape[:2]
            yield np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        left = max(0, left - block.shape[0] * block.shape[1])


def _first(
    pieces: Iterable[Float[np.ndarray, "_"]], n_samples: int
) -> Iterator[Float[np.ndarray, "_"]]:
    for piece in pieces:
        yield piece[:n_samples]
        n_samples = max(0, n_samples - len(piece))
