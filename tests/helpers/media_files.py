"""Makes the awkward media files that the tests read, and disks that are full."""

import resource
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_media(
    path: Path,
    *,
    sound: np.ndarray | None = None,
    rate_hz: int = 16000,
    layout: str = "mono",
    sound_codec: str = "pcm_s16le",
    sound_starts_s: float = 0.0,
    pictures: list[np.ndarray] | None = None,
    times_s: list[float] | None = None,
    picture_codec: str = "ffv1",
    pixel_format: str = "yuv444p",
) -> Path:
    """Writes pictures at any seconds and sound of shape (channel, sample) from any second."""
    milli = Fraction(1, 1000)
    with av.open(str(path), "w") as container:
        picture_stream = sound_stream = None
        if pictures is not None:
            picture_stream = container.add_stream(picture_codec, rate=1000)
            picture_stream.height, picture_stream.width = pictures[0].shape[:2]
            picture_stream.pix_fmt = pixel_format
            picture_stream.codec_context.time_base = milli
        if sound is not None:
            sound_stream = container.add_stream(sound_codec, rate=rate_hz, layout=layout)
        if picture_stream:
            for picture, time_s in zip(pictures, times_s, strict=True):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = round(time_s * 1000), milli
                container.mux(picture_stream.encode(frame))
            container.mux(picture_stream.encode(None))
        if sound_stream:
            samples = np.round(np.asarray(sound).T.reshape(1, -1) * 32767).astype(np.int16)
            n_channels = len(sound)
            for first in range(0, samples.shape[1], 1024 * n_channels):
                block = np.ascontiguousarray(samples[:, first : first + 1024 * n_channels])
                frame = av.AudioFrame.from_ndarray(block, format="s16", layout=layout)
                frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
                frame.pts = first // n_channels + round(sound_starts_s * rate_hz)
                container.mux(sound_stream.encode(frame))
            container.mux(sound_stream.encode(None))
    return path


def grey(level: int, width: int = 32, height: int = 18) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def beep(at_s: float, duration_s: float, rate_hz: int = 16000, tone_hz: float = 1000.0):
    """Silence with a tenth of a second of tone."""
    sound = np.zeros(round(duration_s * rate_hz), np.float32)
    first, n = round(at_s * rate_hz), rate_hz // 10
    sound[first : first + n] = 0.5 * np.sin(2 * np.pi * tone_hz * np.arange(n) / rate_hz)
    return sound


def whole_sound(path: Path, rate_hz: int, duration_s: float) -> np.ndarray:
    from subtr.stimulus.media import sound_spans

    return next(sound_spans(path, rate_hz, [(0, round(duration_s * rate_hz))]))


def onset_s(sound: np.ndarray, rate_hz: int) -> float:
    return float(np.flatnonzero(np.abs(sound) > 0.05)[0] / rate_hz)


@contextmanager
def disk_full_after(n_bytes):
    """No file may grow beyond so many bytes: the writing itself fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
