"""Sound of a media file as one channel at one rate, every sample at its right second."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from jaxtyping import Float, Float32

from subtr.stimulus.decode import decode

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
        span = np.zeros(last - first, np.float32)
        for start, samples in held:
            low, high = max(first, start), min(last, start + len(samples))
            if low < high:
                span[low - first : high - first] = samples[low - start : high - start]
        yield span


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
