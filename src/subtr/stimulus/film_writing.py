"""Writes a film that any player shows: H.264 and AAC in mp4."""

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float, UInt8

from subtr.stimulus.container import MediaError

_BLOCK = 1024


def write_film(
    path: Path | str,
    pictures: Iterable[UInt8[np.ndarray, "height width rgb"]] | None,
    picture_hz: float | int | None,
    sound: Float[np.ndarray, " sample"] | None,
    rate_hz: int | None,
    *,
    quality: int = 18,
) -> Path:
    """Writes an mp4; picture i is shown from i / picture_hz seconds, sample j at j / rate_hz.

    Arguments
        path: where to; written beside it first, so that a half-written film never has this name.
        pictures: any stream of pictures of one even size, or None for sound only.
        picture_hz: pictures per second.
        sound: mono, full scale -1 to 1, or None for pictures only.
        rate_hz: samples per second, a rate that AAC knows (8000 to 96000).
        quality: constant rate factor of H.264; 0 is lossless, 51 worst.

    Raises
        MediaError: neither sound nor pictures, odd size, unknown rate, folder not writable.
    """
    path = Path(path)
    if pictures is None and sound is None:
        raise MediaError(f"{path}: nothing to write; give pictures, sound or both.")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with av.open(str(part), "w", format="mp4") as container:
            track = _SoundTrack(container, sound, rate_hz, path) if sound is not None else None
            if pictures is not None:
                _write_pictures(container, pictures, picture_hz, quality, track, path)
            if track is not None:
                track.finish()
        os.replace(part, path)
    except OSError as error:
        raise MediaError(
            f"{path} cannot be written: {error.strerror}. Free space or choose "
            "a folder that you can write to."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _write_pictures(container, pictures, picture_hz, quality, track, path):
    hz = Fraction(picture_hz).limit_denominator(1001)
    stream = None
    for index, picture in enumerate(pictures):
        if stream is None:
            height, width = picture.shape[:2]
            if height % 2 or width % 2:
                raise MediaError(
                    f"{path}: pictures of {width} x {height}; H.264 in mp4 needs an even width "
                    "and height. Crop or pad by one pixel."
                )
            options = {"crf": str(quality), "preset": "veryfast"}
            stream = container.add_stream("libx264", rate=hz, options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = 1 / hz
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts, frame.time_base = index, 1 / hz
        container.mux(stream.encode(frame))
        if track is not None:
            # Interleaved as a player reads it.
            track.write_until(float((index + 1) / hz))
    if stream is None:
        raise MediaError(f"{path}: the stream of pictures is empty; give at least one.")
    container.mux(stream.encode(None))


class _SoundTrack:
    def __init__(self, container, sound, rate_hz, path):
        try:
            self._stream = container.add_stream("aac", rate=rate_hz, layout="mono")
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(
                f"{path}: sound at {rate_hz} Hz; AAC does not know this rate. "
                "Use 16000, 22050, 44100 or 48000."
            ) from error
        self._stream.bit_rate = 160_000
        self._container, self._sound, self._rate_hz = container, sound, rate_hz
        self._next = 0

    def write_until(self, time_s: float):
        end = min(len(self._sound), round(time_s * self._rate_hz))
        while self._next < end:
            block = self._sound[None, self._next : self._next + _BLOCK]
            block = np.ascontiguousarray(np.clip(block, -1, 1), dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.sample_rate = self._rate_hz
            frame.pts, frame.time_base = self._next, Fraction(1, self._rate_hz)
            self._container.mux(self._stream.encode(frame))
            self._next += block.shape[1]

    def finish(self):
        self.write_until(len(self._sound) / self._rate_hz)
        self._container.mux(self._stream.encode(None))
