"""Writes sound to a file, whole or as it is made."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float

from subtr.params import SubtrError, whole_file


class SoundError(SubtrError, OSError):
    """A sound file cannot be written; the message names it and says what to do."""


def write_sound(
    path: Path | str,
    sound: Float[np.ndarray, " sample"] | Iterable[Float[np.ndarray, "_"]],
    rate_hz: int,
) -> Path:
    """Writes mono sound as a 16-bit file (wav, flac or ogg by its ending); louder parts clip.

    Arguments
        path: where to; written beside it first, so that half a sound never has this name.
        sound: samples, or pieces of them as `Vocoder.stream` gives them.
        rate_hz: samples per second.

    Raises
        SoundError: unknown ending, or the folder cannot be written.
    """
    path = Path(path)
    pieces = [sound] if isinstance(sound, np.ndarray) else sound
    if path.suffix[1:].upper() not in soundfile.available_formats():
        raise _cannot(path, f"unknown ending {path.suffix!r}")
    try:
        # The name of a part says nothing of its format.
        with (
            whole_file(path) as part,
            soundfile.SoundFile(part, "w", rate_hz, 1, format=path.suffix[1:]) as file,
        ):
            for piece in pieces:
                file.write(np.clip(piece, -1.0, 1.0))
    except (soundfile.LibsndfileError, OSError) as error:
        raise _cannot(path, error) from error
    return path


def _cannot(path: Path, why: object) -> SoundError:
    return SoundError(
        f"{path} cannot be written: {why}. Expected a .wav, .flac or .ogg file in a folder that "
        "exists and that you can write to."
    )
