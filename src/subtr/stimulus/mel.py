"""Log-mel spectrogram of a sound, on the clock of the scanner."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import librosa
import numpy as np
import scipy.fft
from jaxtyping import Float, Float32, Int64
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.signal import get_window
from tqdm.auto import tqdm

from subtr.stimulus.cache import cached_array
from subtr.stimulus.media import checked_path, cut_span, resample, sound_spans
from subtr.timeline import Clock

LOG_FLOOR = 1e-5
_BLOCK_FRAMES = 2048


class MelSettings(BaseModel):
    """How a log-mel spectrogram is made.

    Arguments
        rate_hz: samples per second to which the sound is brought first.
        n_mels: mel bands.
        window_samples: length of the Hann window in samples.
        fmin_hz, fmax_hz: lower end of the lowest and upper end of the highest band.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    rate_hz: int = Field(16000, ge=1000, le=192_000)
    n_mels: int = Field(128, ge=1, le=1024)
    window_samples: int = Field(1024, ge=16, le=65536)
    fmin_hz: float = Field(0.0, ge=0)
    fmax_hz: float = Field(8000.0, gt=0)

    @model_validator(mode="after")
    def _bands_within_rate(self):
        if not self.fmin_hz < self.fmax_hz <= self.rate_hz / 2:
            raise ValueError(
                f"fmin_hz = {self.fmin_hz:g}, fmax_hz = {self.fmax_hz:g}: expected fmin_hz below "
                f"fmax_hz, and fmax_hz at most half of rate_hz = {self.rate_hz}"
            )
        return self


def log_mel_of_sound(
    sound: Float[np.ndarray, " sample"],
    rate_hz: int,
    clock: Clock,
    settings: MelSettings | None = None,
) -> Float32[np.ndarray, "tr frame mel"]:
    """Natural log of the Slaney mel amplitude around each frame's centre.

    log(max(mel @ sqrt(|STFT|^2 + 1e-9), 1e-5)), the convention of HiFi-GAN (Kong, Kim and Bae
    2020), whose vocoders read it. Each window is centred on the sample nearest to the frame's
    centre, so hops may differ by one sample but never drift.

    Arguments
        sound: mono, full scale -1 to 1; sample 0 is at stimulus second 0. Silence is taken
            outside of it.
        rate_hz: its samples per second; another rate than the settings' is resampled.
        clock: the scanner's; its `frames_per_tr` are the frames of the result.
        settings: see `MelSettings`.
    """
    settings = settings or MelSettings()
    if rate_hz != settings.rate_hz:
        sound = resample(sound, rate_hz, settings.rate_hz)
    blocks = _blocks(clock, settings, _block_trs(clock))
    spans = (cut_span([(0, sound)], first, last) for first, last, _ in blocks)
    return np.concatenate(list(_log_mels(spans, blocks, settings)))


def log_mel_of_media(
    path: Path | str, clock: Clock, settings: MelSettings | None = None
) -> Float32[np.ndarray, "tr frame mel"]:
    """`log_mel_of_sound` of a media file, decoded in a stream and kept in the cache.

    Stimulus second 0 is the zero of the file's own time: sound that starts later has silence
    before it. The result is read from disk as it is used.

    Raises
        MediaError: no such file, no media file, no sound track, or none of it decodes.
        CacheError: the cache cannot be written.
    """
    settings = settings or MelSettings()

    def compute() -> Iterator[np.ndarray]:
        with tqdm(total=clock.n_trs, desc="sound", unit="TR", delay=3, disable=None) as bar:
            for log_mel in iter_log_mel(path, clock, settings, _block_trs(clock)):
                yield log_mel
                bar.update(len(log_mel))

    key = settings.model_dump() | {"clock": vars(clock)}
    return cached_array("mel", checked_path(path), key, compute)


def iter_log_mel(
    path: Path | str, clock: Clock, settings: MelSettings, block_trs: int, first_tr: int = 0
) -> Iterator[Float32[np.ndarray, "_ frame mel"]]:
    """`log_mel_of_media` block by block from a TR on, in bounded memory and without the cache.

    Arguments
        block_trs: TRs of a block; the last may be shorter.
        first_tr: the first of the first block. What comes before is decoded, but goes no further.

    Raises
        MediaError: see `log_mel_of_media`.
    """
    blocks = _blocks(clock, settings, block_trs, first_tr)
    spans = sound_spans(path, settings.rate_hz, [block[:2] for block in blocks])
    return _log_mels(spans, blocks, settings)


def _block_trs(clock: Clock) -> int:
    return max(1, _BLOCK_FRAMES // clock.frames_per_tr)


def _blocks(
    clock: Clock, settings: MelSettings, block_trs: int, first_tr: int = 0
) -> list[tuple[int, int, np.ndarray]]:
    """Groups of TRs: first sample, one past the last, and where in between windows begin."""
    begins = clock.sample_of_frames(float(settings.rate_hz)) - settings.window_samples // 2
    blocks = []
    for tr in range(first_tr, clock.n_trs, block_trs):
        block = begins[tr : tr + block_trs]
        first = int(block[0, 0])
        blocks.append((first, int(block[-1, -1]) + settings.window_samples, block - first))
    return blocks


def _log_mels(
    spans: Iterable[np.ndarray], blocks: list[tuple[int, int, np.ndarray]], settings: MelSettings
) -> Iterator[np.ndarray]:
    for span, (_, _, begins) in zip(spans, blocks, strict=True):
        yield _log_mel(span, begins, settings)


def _log_mel(
    span: Float32[np.ndarray, " sample"], begins: Int64[np.ndarray, "tr frame"], settings
) -> Float32[np.ndarray, "tr frame mel"]:
    windows = np.lib.stride_tricks.sliding_window_view(span, settings.window_samples)[begins]
    hann = get_window("hann", settings.window_samples).astype(np.float32)
    spectrum = scipy.fft.rfft(windows * hann, axis=-1)
    power = spectrum.real**2 + spectrum.imag**2
    mel = np.sqrt(power + np.float32(1e-9)) @ mel_filters(settings).T
    return np.log(np.maximum(mel, np.float32(LOG_FLOOR)))


@lru_cache(maxsize=8)
def mel_filters(settings: MelSettings) -> Float32[np.ndarray, "mel frequency"]:
    """The Slaney mel filters of librosa, each of unit area."""
    return librosa.filters.mel(
        sr=settings.rate_hz,
        n_fft=settings.window_samples,
        n_mels=settings.n_mels,
        fmin=settings.fmin_hz,
        fmax=settings.fmax_hz,
    ).astype(np.float32)
