"""Decodes one stream of a media file, with the times of its frames."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import av
import av.error

from subtr.stimulus.container import (
    ESTIMATED_DURATION,
    MediaError,
    MediaWarning,
    find_stream,
    nothing_in,
    open_media,
    zero_s,
)


def decode(path: Path | str, kind: str) -> Iterator[tuple[float, av.frame.Frame]]:
    """Decodes the main "audio" or "video" stream: pairs of stimulus time in seconds and frame.

    Damaged parts are left out with a warning that names the second.

    Raises
        MediaError: see `open_media`; no such stream; or nothing of it decodes.
    """
    word = {"audio": "sound", "video": "picture"}[kind]
    with open_media(path) as container:
        stream = find_stream(container, kind)
        if not any(find_stream(container, one) for one in ("audio", "video")):
            raise MediaError(nothing_in(path))
        if stream is None:
            raise MediaError(
                f"{path} has no {word} track; expected one. Give another file, "
                f"or switch {word}s off for this study."
            )
        stream.thread_type = "AUTO"
        origin_s, end_s, damaged_at_s = zero_s(container), None, None
        for frames in _frame_groups(container, stream):
            if frames is None:
                damaged_at_s = (end_s or 0.0) if damaged_at_s is None else damaged_at_s
                continue
            for frame in frames:
                if frame.pts is None:
                    start_s = end_s or 0.0
                else:
                    start_s = float(frame.pts * frame.time_base) - origin_s
                end_s = start_s + _length_s(frame, stream)
                yield start_s, frame
        if end_s is None:
            raise MediaError(
                f"{path}: nothing of its {word} track decodes; the file is damaged or cut off. "
                "Copy it again or convert it with ffmpeg."
            )
        _warn_of_loss(path, word, end_s, damaged_at_s, _declared_end_s(container, stream, origin_s))


def _frame_groups(container, stream) -> Iterator[list | None]:
    """The frames of each packet; None for a packet that does not decode."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            # The file breaks off here; frames still inside the decoder are good.
            yield None
            yield stream.codec_context.decode(None)
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            frames = None
        yield frames


def _length_s(frame, stream) -> float:
    if isinstance(frame, av.AudioFrame):
        return frame.samples / frame.sample_rate
    if frame.duration:
        return float(frame.duration * frame.time_base)
    return float(1 / stream.average_rate) if stream.average_rate else 0.0


def _declared_end_s(container, stream, origin_s: float) -> float | None:
    """The stimulus second at which the file says that a stream ends, where it can be trusted."""
    if container.format.name in ESTIMATED_DURATION:
        return None
    if stream.duration is not None:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - origin_s
    tag = stream.metadata.get("DURATION", "")
    if tag.count(":") == 2:
        hours, minutes, seconds = tag.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds) - origin_s
    if container.duration is not None:
        return ((container.start_time or 0) + container.duration) / av.time_base - origin_s
    return None


def _warn_of_loss(path, word, end_s, damaged_at_s, declared_s):
    rest = "silence" if word == "sound" else "the last picture"
    if declared_s is not None and end_s < declared_s - 1.0:
        warnings.warn(
            f"{path}: its {word} stops at {end_s:.2f} s, though the file declares "
            f"{declared_s:.2f} s. The rest is taken as {rest}. If the file was cut off, "
            "copy it again.",
            MediaWarning,
            stacklevel=3,
        )
    elif damaged_at_s is not None:
        warnings.warn(
            f"{path}: its {word} is damaged from {damaged_at_s:.2f} s; damaged parts are taken "
            f"as {rest}. Copy or convert the file again.",
            MediaWarning,
            stacklevel=3,
        )
