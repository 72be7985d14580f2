"""Opens a media file of any kind that FFmpeg reads and decodes one of its streams with times."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.stream import Disposition

from subtr.errors import SubtrError

# Broadcast containers count time from an arbitrary second (AVFMT_TS_DISCONT in libavformat).
_ARBITRARY_ZERO = 0x0200
# Formats without an index only estimate their duration from the bit rate.
_ESTIMATED_DURATION = {"mp3", "aac", "ac3", "eac3", "dts", "mpegvideo", "h264", "hevc"}


class MediaError(SubtrError, ValueError):
    """A media file cannot be used; the message names it, says what is wrong and what to do."""


class MediaWarning(UserWarning):
    """A media file could be used only in part."""


@dataclass(frozen=True)
class MediaInfo:
    """What a media file holds; None where it has no such stream. Sizes as coded."""

    path: Path
    duration_s: float
    sound_rate_hz: int | None
    n_channels: int | None
    picture_hz: float | None
    width: int | None
    height: int | None


def checked_path(path: Path | str) -> Path:
    """The path of a file that is there and not empty; MediaError otherwise."""
    path = Path(path)
    if not path.exists():
        raise MediaError(f"{path}: no such file; expected a film or a sound. Check the path.")
    if path.is_dir():
        raise MediaError(f"{path} is a folder; expected a film or a sound. Name a file in it.")
    if path.stat().st_size == 0:
        raise MediaError(f"{path} is empty (0 bytes); expected a film or a sound. Copy it again.")
    return path


@contextmanager
def open_media(path: Path | str) -> Iterator[av.container.InputContainer]:
    """Opens a media file for reading.

    Raises
        MediaError: the file is missing, a folder, empty, unreadable or no media file.
    """
    path = checked_path(path)
    try:
        container = av.open(str(path), metadata_errors="ignore")
    except PermissionError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror}. Change its rights.") from error
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(
            f"{path} is not a media file that FFmpeg can read, or its beginning or index is "
            f"missing ({error.strerror}). Expected a film or a sound; try it in a player, "
            "copy it again, or convert it with ffmpeg."
        ) from error
    with container:
        yield container


def find_stream(container: av.container.InputContainer, kind: str) -> av.stream.Stream | None:
    """The main "audio" or "video" stream, or None; a cover picture is no film."""
    best = container.streams.best(kind)
    streams = ([best] if best is not None else []) + [
        stream for stream in container.streams if stream.type == kind
    ]
    for stream in streams:
        cover = bool(stream.disposition & Disposition.attached_pic)
        if stream.codec_context is not None and not cover:
            return stream
    return None


def zero_s(container: av.container.InputContainer) -> float:
    """The container's own time of stimulus second zero.

    Zero in files such as mp4, mkv or wav, so that a sound that starts at 0.7 s does; the first
    time stamp in broadcast streams (MPEG-TS), which count from an arbitrary second.
    """
    if container.format.flags & _ARBITRARY_ZERO and container.start_time is not None:
        return container.start_time / av.time_base
    return 0.0


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
            raise MediaError(_nothing_in(path))
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


def _nothing_in(path) -> str:
    # So FFmpeg also takes an mp4 that was cut off before the index at its end.
    return (
        f"{path} has neither a sound nor a picture track; expected a film or a sound. If the file "
        "was cut off, copy it again."
    )


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
    if container.format.name in _ESTIMATED_DURATION:
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


def probe(path: Path | str) -> MediaInfo:
    """What a media file holds: duration in seconds from stimulus time zero, rates, sizes.

    Raises
        MediaError: see `open_media`; or the file has neither sound nor pictures.
    """
    with open_media(path) as container:
        sound, picture = find_stream(container, "audio"), find_stream(container, "video")
        if sound is None and picture is None:
            raise MediaError(_nothing_in(path))
        rate = (picture.average_rate or picture.guessed_rate) if picture else None
        info = {
            "sound_rate_hz": sound.codec_context.sample_rate if sound else None,
            "n_channels": sound.codec_context.channels if sound else None,
            "picture_hz": float(rate) if rate else None,
            "width": picture.codec_context.width if picture else None,
            "height": picture.codec_context.height if picture else None,
        }
        origin_s = zero_s(container)
        if container.duration is not None and container.format.name not in _ESTIMATED_DURATION:
            end_s = ((container.start_time or 0) + container.duration) / av.time_base - origin_s
        else:
            end_s = max(
                (
                    float((packet.pts + (packet.duration or 0)) * packet.time_base) - origin_s
                    for packet in container.demux(*[s for s in (sound, picture) if s])
                    if packet.pts is not None
                ),
                default=0.0,
            )
    return MediaInfo(path=Path(path), duration_s=end_s, **info)
