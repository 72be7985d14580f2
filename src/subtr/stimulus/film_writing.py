"""Writes a film that any player shows: H.264 and AAC in mp4."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float, UInt8

from subtr.params import whole_file
from subtr.stimulus.container import MediaError

# Samples per second that AAC knows and players play.
AAC_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_BLOCK = 1024


def write_film(
    path: Path | str,
    pictures: Iterable[UInt8[np.ndarray, "height width rgb"]] | None,
    picture_hz: float | int | None,
    sound: Float[np.ndarray, " sample"] | Iterable[Float[np.ndarray, "_"]] | None,
    rate_hz: int | None,
    *,
    quality: int = 18,
) -> Path:
    """Writes an mp4; picture i is shown from i / picture_hz seconds, sample j at j / rate_hz.

    Arguments
        path: where to; written beside it first, so that a half-written film never has this name.
        pictures: any stream of pictures of one even size, or None for sound only.
        picture_hz: pictures per second.
        sound: mono, full scale -1 to 1; all of it, or consecutive pieces, which are taken as the
            pictures need them; None for pictures only.
        rate_hz: samples per second, a rate that AAC knows (8000 to 96000).
        quality: constant rate factor of H.264; 0 is lossless, 51 worst.

    Raises
        MediaError: neither sound nor pictures, odd size, unknown rate, folder not writable.
    """
    path = Path(path)
    if pictures is None and sound is None:
        raise MediaError(f"{path}: nothing to write; give pictures, sound or both.")
    pieces = iter([sound] if isinstance(sound, np.ndarray) else sound or ())
    try:
        with whole_file(path) as part, av.open(str(part), "w", format="mp4") as container:
            track = _SoundTrack(container, pieces, rate_hz, path) if sound is not None else None
            if pictures is not None:
                _write_pictures(container, pictures, picture_hz, quality, track, path)
            if track is not None:
                track.finish()
    except OSError as error:
        raise MediaError(
            f"{path} cannot be written: {error.strerror}. Free space or choose "
            "a folder that you can write to."
        ) from error
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
    def __init__(self, container, pieces, rate_hz, path):
        try:
            self._stream = container.add_stream("aac", rate=rate_hz, layout="mono")
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(
                f"{path}: sound at {rate_hz} Hz; AAC does not know this rate. "
                "Use 16000, 22050, 44100 or 48000."
            ) from error
        self._stream.bit_rate = 160_000
        self._container, self._rate_hz = container, rate_hz
        self._blocks, self._next = _blocks(pieces), 0

    def write_until(self, time_s: float):
        while self._next < time_s * self._rate_hz and self._write_block():
            pass

    def finish(self):
        while self._write_block():
            pass
        self._container.mux(self._stream.encode(None))

    def _write_block(self) -> bool:
        block = next(self._blocks, None)
        if block is None:
            return False
        samples = np.ascontiguousarray(np.clip(block, -1, 1)[None], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = self._rate_hz
        frame.pts, frame.time_base = self._next, Fraction(1, self._rate_hz)
        self._container.mux(self._stream.encode(frame))
        self._next += len(block)
        return True


def _blocks(pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same sound in the blocks that AAC encodes, however it arrives."""
    held = np.zeros(0, np.float32)
    for piece in pieces:
        held = np.concatenate([held, piece])
        whole = len(held) - len(held) % _BLOCK
        yield from held[:whole].reshape(-1, _BLOCK)
        held = held[whole:]
    if len(held):
        yield held
