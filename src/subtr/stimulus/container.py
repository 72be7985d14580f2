"""Opens a media file of any kind that FFmpeg reads, and tells what is in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.stream import Disposition

from subtr.params import SubtrError

# Broadcast containers count time from an arbitrary second (AVFMT_TS_DISCONT in libavformat).
_ARBITRARY_ZERO = 0x0200
# Formats without an index only estimate their duration from the bit rate.
ESTIMATED_DURATION = {"mp3", "aac", "ac3", "eac3", "dts", "mpegvideo", "h264", "hevc"}


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


def probe(path: Path | str) -> MediaInfo:
    """What a media file holds: duration in seconds from stimulus time zero, rates, sizes.

    Raises
        MediaError: see `open_media`; or the file has neither sound nor pictures.
    """
    with open_media(path) as container:
        sound, picture = find_stream(container, "audio"), find_stream(container, "video")
        if sound is None and picture is None:
            raise MediaError(nothing_in(path))
        rate = (picture.average_rate or picture.guessed_rate) if picture else None
        info = {
            "sound_rate_hz": sound.codec_context.sample_rate if sound else None,
            "n_channels": sound.codec_context.channels if sound else None,
            "picture_hz": float(rate) if rate else None,
            "width": picture.codec_context.width if picture else None,
            "height": picture.codec_context.height if picture else None,
        }
        origin_s = zero_s(container)
        if container.duration is not None and container.format.name not in ESTIMATED_DURATION:
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


def nothing_in(path: Path | str) -> str:
    """The message for a file without sound and pictures."""
    # So FFmpeg also takes an mp4 that was cut off before the index at its end.
    return (
        f"{path} has neither a sound nor a picture track; expected a film or a sound. If the file "
        "was cut off, copy it again."
    )
