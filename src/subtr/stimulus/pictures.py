"""Pictures of a film on the scanner's clock, cut into blocks, and written to a film again."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np
import torch.nn.functional as F
from av.video.reformatter import Interpolation, VideoReformatter
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from tqdm.auto import tqdm

from subtr.params import whole_file
from subtr.stimulus.cache import cached_array, write_array
from subtr.stimulus.media import MediaError, checked_path, decode, probe
from subtr.stimulus.mel import MelSettings, log_mel_of_media
from subtr.timeline import Clock

# Absorbs the rounding of time stamps to binary fractions, not that of containers.
_ROUNDING_S = 1e-6


def iter_pictures(
    path: Path | str, width: int, height: int
) -> Iterator[tuple[float, UInt8[np.ndarray, "height width rgb"]]]:
    """Decodes every picture of a media file, scaled to one size.

    Yields
        Stimulus second from which the picture is shown (its presentation time stamp), and its
        red, green and blue, 0 to 255, upright when the file says how the camera was held.

    Raises
        MediaError: no such file, no media file, no picture track, or none of it decodes.
    """
    scale = _Scaler(width, height)
    for start_s, frame in decode(path, "video"):
        yield start_s, scale(frame)


def pictures_at(
    path: Path | str, times_s: Iterable[float], width: int, height: int
) -> Iterator[UInt8[np.ndarray, "height width rgb"]]:
    """The picture on screen at each of the given ascending stimulus seconds.

    That is the last one whose presentation time stamp is not later; before the first, the first;
    after the end, the last. Only pictures that are asked for are scaled.

    Raises
        MediaError: see `iter_pictures`.
    """
    times = iter(times_s)
    time_s = next(times, None)
    scale, shown, picture = _Scaler(width, height), None, None
    for start_s, frame in chain(decode(path, "video"), [(math.inf, None)]):
        while shown is not None and time_s is not None and time_s < start_s - _ROUNDING_S:
            picture = scale(shown) if picture is None else picture
            yield picture
            time_s = next(times, None)
        if time_s is None:
            return
        shown, picture = frame, None


class _Scaler:
    """Scales by area, the mean of what a small pixel covers, and turns the picture upright."""

    def __init__(self, width: int, height: int):
        self.width, self.height = width, height
        # Kept, because setting a scaler up costs more than using it.
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "height width rgb"]:
        quarter_turns = round(frame.rotation / 90) % 4
        width, height = self.width, self.height
        if quarter_turns % 2:
            width, height = height, width
        scaled = self._reformatter.reformat(
            frame, width, height, format="rgb24", interpolation=Interpolation.AREA, threads=1
        )
        picture = scaled.to_ndarray()
        return np.ascontiguousarray(np.rot90(picture, quarter_turns)) if quarter_turns else picture


class PictureSettings(BaseModel):
    """Size in pixels and number per TR of the pictures that a model sees.

    The film is stretched to this size; choose a width and height of about its own proportions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    width: int = Field(64, ge=1, le=8192)
    height: int = Field(36, ge=1, le=8192)
    frames_per_tr: int = Field(8, ge=1, le=1024)


def pictures_of_media(
    path: Path | str,
    clock: Clock,
    settings: PictureSettings | None = None,
    out_file: Path | None = None,
) -> UInt8[np.ndarray, "tr frame height width rgb"]:
    """The picture on screen at the centre of each frame, by presentation time stamps.

    Decoded in a stream and written TR by TR, so memory does not grow with the film.

    Arguments
        path: a media file.
        clock: the scanner's; its own `frames_per_tr` give way to those of the settings.
        settings: see `PictureSettings`.
        out_file: a .npy file to write; by default the array goes to the cache.

    Returns
        Red, green and blue, 0 to 255, read-only and read from disk as it is used.

    Raises
        MediaError: no such file, no media file, no picture track, or none of it decodes.
        CacheError: the cache or `out_file` cannot be written.
    """
    settings = settings or PictureSettings()
    clock = clock.with_frames(settings.frames_per_tr)

    def compute() -> Iterator[np.ndarray]:
        trs = iter_picture_trs(path, clock, settings, block_trs=1)
        bar = {"total": clock.n_trs, "desc": "pictures", "unit": "TR", "delay": 3}
        return iter(tqdm(trs, **bar, disable=None))

    if out_file is not None:
        return write_array(out_file, compute())
    key = settings.model_dump() | {"clock": vars(clock)}
    return cached_array("pictures", checked_path(path), key, compute)


def iter_picture_trs(
    path: Path | str, clock: Clock, settings: PictureSettings, block_trs: int, first_tr: int = 0
) -> Iterator[UInt8[np.ndarray, "_ frame height width rgb"]]:
    """`pictures_of_media` block by block from a TR on, in bounded memory and without the cache.

    Arguments
        block_trs: TRs of a block; the last may be shorter.
        first_tr: the first of the first block. What comes before is decoded, but goes no further.

    Raises
        MediaError: see `pictures_of_media`.
    """
    n_pictures = settings.frames_per_tr
    times_s = clock.with_frames(n_pictures).frame_times_s()[first_tr:].ravel()
    pictures = pictures_at(path, times_s, settings.width, settings.height)
    while block := list(islice(pictures, block_trs * n_pictures)):
        yield np.stack(block).reshape(-1, n_pictures, *block[0].shape)


def tracks_of_media(
    path: Path | str,
    clocks: Sequence[Clock],
    mel: MelSettings | None,
    pictures: PictureSettings | None,
) -> tuple[
    Float32[np.ndarray, "tr frame mel"] | None,
    UInt8[np.ndarray, "tr picture height width rgb"] | None,
]:
    """Log-mel and pictures of a media file, on clocks one after the other.

    Arguments
        clocks: one for each run.
        mel, pictures: None leaves sound or pictures out.

    Returns None for a track that the file lacks or that is left out.

    Raises
        MediaError, CacheError: see `log_mel_of_media` and `pictures_of_media`.
    """
    info = probe(path)
    has = info.sound_rate_hz is not None, info.width is not None
    tracks = []
    for there, settings, of_media in zip(
        has, (mel, pictures), (log_mel_of_media, pictures_of_media), strict=True
    ):
        if there and settings is not None:
            runs = [of_media(path, clock, settings) for clock in clocks]
            tracks.append(runs[0] if len(runs) == 1 else np.concatenate(runs))
        else:
            tracks.append(None)
    return tuple(tracks)


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


# How the frames of a TR divide into blocks that are all treated alike, and what order they keep.
#
# A block is as long as the TR: all frames of a few rows and columns.


@dataclass(frozen=True)
class Blocks:
    """Blocks of ``block_height`` by ``block_width`` pixels that cover every frame of a TR.

    Arguments
        n_frames, channels, height, width: of a TR and of a frame. Sound has one channel of one row.
        block_height, block_width: pixels of a block. Where frames are no multiple of them, their
            last rows and columns are repeated, and left out again when blocks are put together.

    The values of a block come in the order frame, channel, row, column. The numbers of a TR come in
    the order feature, row, column of blocks, so that fewer numbers leave out the last features.
    """

    n_frames: int
    channels: int
    height: int
    width: int
    block_height: int
    block_width: int

    @property
    def rows(self) -> int:
        """Blocks from top to bottom."""
        return -(-self.height // self.block_height)

    @property
    def columns(self) -> int:
        """Blocks from left to right."""
        return -(-self.width // self.block_width)

    @property
    def n_values(self) -> int:
        """Values of a block."""
        return self.n_frames * self.channels * self.block_height * self.block_width

    def n_features(self, dim: int) -> int:
        """Numbers of the block that keeps most, where ``dim`` numbers are kept of a TR."""
        return -(-dim // (self.rows * self.columns))

    def filled(
        self, film: Float[Tensor, "batch frame channel height width"]
    ) -> Float[Tensor, "batch frame channel _height _width"]:
        """Frames with their last row and column repeated up to whole blocks."""
        below = self.rows * self.block_height - self.height
        beside = self.columns * self.block_width - self.width
        flat = F.pad(film.flatten(0, 1), (0, beside, 0, below), mode="replicate")
        return flat.unflatten(0, film.shape[:2])

    def split(
        self, film: Float[Tensor, "batch frame channel height width"]
    ) -> Float[Tensor, "batch row column value"]:
        """The blocks of each film."""
        size = {"h": self.block_height, "w": self.block_width}
        return rearrange(self.filled(film), "b f c (i h) (j w) -> b i j (f c h w)", **size)

    def join(
        self, blocks: Float[Tensor, "batch row column value"]
    ) -> Float[Tensor, "batch frame channel height width"]:
        """Films put together from their blocks: undoes `split`."""
        size = {"f": self.n_frames, "c": self.channels, "h": self.block_height}
        film = rearrange(blocks, "b i j (f c h w) -> b f c (i h) (j w)", **size)
        return film[..., : self.height, : self.width]

    def ordered(
        self, codes: Float[Tensor, "batch row column feature"], dim: int
    ) -> Float[Tensor, "batch dim"]:
        """The first ``dim`` numbers of a TR, in their order."""
        return rearrange(codes, "b i j k -> b (k i j)")[:, :dim]

    def placed(
        self, vectors: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, "batch row column feature"]:
        """Each block's numbers, 0 where they were left out: undoes `ordered`."""
        n_blocks = self.rows * self.columns
        vectors = F.pad(vectors, (0, -vectors.shape[1] % n_blocks))
        return rearrange(vectors, "b (k i j) -> b i j k", i=self.rows, j=self.columns)
