"""Media files: what they hold, and their audio decoded as a stream."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av.error
import numpy as np
from av.stream import Disposition
from jaxtyping import Float, Float32

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


# Time stamps of many containers are rounded to a millisecond; only more than that is a gap.
_JITTER_S = 0.005
_BLOCK = 16384
_PIECE = 1 << 16


def iter_sound(
    path: Path | str, rate_hz: int
) -> Iterator[tuple[float, Float32[np.ndarray, " sample"]]]:
    """Decodes the sound of a media file block by block.

    Channels are mixed by FFmpeg's weights (5.1: centre fully, the others at -3 dB, no bass
    channel), scaled to a sum of one so that nothing clips.

    Arguments
        path: a media file.
        rate_hz: samples per second of the result.

    Yields
        Start of the block in stimulus seconds, and its samples, full scale -1 to 1. Where blocks
        leave a gap there is no sound; the first may start before or after zero.

    Raises
        MediaError: no such file, no media file, no sound track, or none of it decodes.
    """
    mixer, expected_s = None, 0.0
    for start_s, frame in decode(path, "audio"):
        if mixer is None or not mixer.fits(frame) or abs(start_s - expected_s) > _JITTER_S:
            if mixer is not None:
                yield from mixer.finish()
            mixer, expected_s = _Mixer(frame, rate_hz, start_s), start_s
        expected_s += frame.samples / frame.sample_rate
        yield from mixer.push(frame)
    yield from mixer.finish()


def resample(
    sound: Float[np.ndarray, " sample"], rate_hz: int, to_hz: int
) -> Float32[np.ndarray, " resampled"]:
    """The same mono sound at another whole rate, by the resampler that media files go through."""
    pieces = (sound[start : start + _PIECE] for start in range(0, len(sound), _PIECE))
    blocks = list(iter_resampled(pieces, rate_hz, to_hz))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def iter_resampled(
    pieces: Iterable[Float[np.ndarray, "_"]], rate_hz: int, to_hz: int
) -> Iterator[Float32[np.ndarray, "_"]]:
    """`resample` of a sound that arrives in consecutive pieces."""
    mixer = None
    for piece in pieces:
        samples = np.ascontiguousarray(piece[None], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate = rate_hz
        mixer = mixer or _Mixer(frame, to_hz, 0.0)
        yield from (block for _, block in mixer.push(frame))
    if mixer:
        yield from (block for _, block in mixer.finish())


def sound_spans(
    path: Path | str, rate_hz: int, spans: Iterable[tuple[int, int]]
) -> Iterator[Float32[np.ndarray, " sample"]]:
    """Cuts ascending spans of samples, which may overlap, out of a media file's sound.

    Arguments
        path: a media file.
        rate_hz: samples per second.
        spans: (first, one past the last) index of each span, counted from stimulus time zero.

    Yields
        The samples of each span; zero where the file has no sound.

    Raises
        MediaError: see `iter_sound`.
    """
    blocks = iter_sound(path, rate_hz)
    held: list[tuple[int, np.ndarray]] = []
    end = None
    for first, last in spans:
        while end is None or end < last:
            block = next(blocks, None)
            if block is None:
                end = last if end is None else max(end, last)
                break
            start = round(block[0] * rate_hz)
            end = start + len(block[1])
            # Nothing of what lies before a late first span is held.
            if end > first:
                held.append((start, block[1]))
        held = [(start, samples) for start, samples in held if start + len(samples) > first]
        yield cut_span(held, first, last)


def cut_span(
    pieces: Iterable[tuple[int, Float[np.ndarray, "_"]]], first: int, last: int
) -> Float32[np.ndarray, " sample"]:
    """Samples ``first`` up to ``last`` of pieces that begin at given samples; zero elsewhere."""
    span = np.zeros(last - first, np.float32)
    for start, samples in pieces:
        low, high = max(first, start), min(last, start + len(samples))
        if low < high:
            span[low - first : high - first] = samples[low - start : high - start]
    return span


class _Mixer:
    """One unbroken stretch of sound through FFmpeg's mixer and resampler.

    Samples are counted from the start of the stretch, so rounding of time stamps cannot move them.
    """

    def __init__(self, frame: av.AudioFrame, rate_hz: int, start_s: float):
        self.rate_hz, self.start_s = rate_hz, start_s
        self.n_in = self.n_out = 0
        self._kind = _kind(frame)
        self._time_base = Fraction(1, frame.sample_rate)
        n_channels, layout = frame.layout.nb_channels, frame.layout.name
        mix = "ochl=mono:rematrix_maxval=1.0"
        graph = av.filter.Graph()
        nodes = [
            graph.add_abuffer(
                sample_rate=frame.sample_rate,
                format=frame.format.name,
                layout=layout,
                time_base=self._time_base,
            )
        ]
        if "channels" in layout:
            # Speakers unknown: the plain mean.
            gains = "+".join(f"{1 / n_channels:.9f}*c{c}" for c in range(n_channels))
            nodes.append(graph.add("pan", f"mono|c0={gains}"))
        nodes.append(graph.add("aresample", f"{rate_hz}:{mix}:osf=flt"))
        nodes.append(graph.add("asetnsamples", f"n={_BLOCK}:p=0"))
        nodes.append(graph.add("abuffersink"))
        graph.link_nodes(*nodes).configure()
        self._graph = graph

    def fits(self, frame: av.AudioFrame) -> bool:
        return _kind(frame) == self._kind

    def push(self, frame: av.AudioFrame | None) -> Iterator[tuple[float, np.ndarray]]:
        if frame is not None:
            frame.pts, frame.time_base = self.n_in, self._time_base
            self.n_in += frame.samples
        self._graph.push(frame)
        while True:
            try:
                samples = self._graph.pull().to_ndarray()[0]
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield self.start_s + self.n_out / self.rate_hz, samples
            self.n_out += len(samples)

    def finish(self) -> Iterator[tuple[float, np.ndarray]]:
        return self.push(None)


def _kind(frame: av.AudioFrame) -> tuple:
    return frame.sample_rate, frame.format.name, frame.layout.name
