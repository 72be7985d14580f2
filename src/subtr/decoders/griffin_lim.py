"""What every vocoder shares, and the one that needs no weights: Griffin-Lim."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, ClassVar, NamedTuple

import librosa
import numpy as np
from jaxtyping import Float, Float32, Float64
from pydantic import Field
from scipy.interpolate import CubicSpline

from subtr.params import SettingsError
from subtr.stimulus.mel import MelSettings, mel_filters
from subtr.timeline import Clock

_BLOCK_FRAMES = 2048

# A spline forgets a value by a factor of 3.7 a frame: these are 1e-13 of it.
_SPLINE_FRAMES = 24


class Block(NamedTuple):
    """Rows ``start`` to ``stop`` of a long table, with those around them.

    ``rows`` begins ``before`` rows before ``start``; ``last`` where the table ends with ``stop``.
    """

    rows: Float[np.ndarray, "row value"]
    before: int
    start: int
    stop: int
    last: bool


def overlapping(
    parts: Iterable[Float[np.ndarray, "_ value"]], n_rows: int, context: int
) -> Iterator[Block]:
    """The same blocks of a long table however it arrives, each with rows before and after.

    Arguments
        parts: consecutive rows, any number at a time.
        n_rows: rows of a block; the last has from ``context`` to ``n_rows + context``.
        context: rows on either side, less at the ends of the table.
    """
    held, start = None, 0
    origin = 0  # of the held rows
    for part in parts:
        held = part if held is None else np.concatenate([held, part])
        while origin + len(held) >= start + n_rows + context:
            stop = start + n_rows
            rows = held[: stop + context - origin]
            yield Block(rows, start - origin, start, stop, False)
            start, kept = stop, max(stop - context, 0)
            held, origin = held[kept - origin :], kept
    if held is not None:
        yield Block(held, start - origin, start, origin + len(held), True)


@dataclass(frozen=True)
class Hops:
    """Where a vocoder wants its frames, beside where a spectrogram has them.

    Frame k is centred on sample (k + 1/2) * ``frame_samples`` after the onset of the first TR, hop
    j on sample j * ``hop_samples`` + ``centre``.

    Arguments
        frame_samples: samples from one frame to the next, seldom a whole number.
        hop_samples: samples from one hop to the next.
        centre: of hop 0.
        n_hops: hops to make.
    """

    frame_samples: float
    hop_samples: int
    centre: float
    n_hops: int

    def resampled(
        self, parts: Iterable[Float[np.ndarray, "_ value"]]
    ) -> Iterator[Float64[np.ndarray, "_ value"]]:
        """Frames on the hops by cubic splines in time; beyond the ends, the end frames."""
        for block in overlapping(parts, _BLOCK_FRAMES, _SPLINE_FRAMES):
            first = 0 if block.start == 0 else self._first_from(block.start)
            stop = self.n_hops if block.last else min(self._first_from(block.stop), self.n_hops)
            places = (np.arange(first, stop) * self.hop_samples + self.centre) / self.frame_samples
            rows = block.rows.astype(np.float64)
            yield _at(rows, places - 0.5 - (block.start - block.before))

    def _first_from(self, frame: int) -> int:
        """The first hop that is centred on this frame or later."""
        return math.ceil(((frame + 0.5) * self.frame_samples - self.centre) / self.hop_samples)


def _at(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    places = np.clip(places, 0, len(rows) - 1)
    if len(rows) == 1:
        return np.repeat(rows, len(places), axis=0)
    return CubicSpline(np.arange(len(rows)), rows, axis=0)(places)


class Vocoder(ABC):
    """Log-mel spectrograms to sound; called with a whole one, or given a long one as a `stream`.

    Built from the `MelSettings` of the spectrograms that it will be given. ``name`` is its own in
    a params file; ``block_hops`` are made at a time, with ``context_hops`` on either side; where
    these do not make blocks agree, neighbours are cross-faded over ``fade_hops`` on either side.
    """

    name: ClassVar[str]
    block_hops: ClassVar[int]
    context_hops: int
    fade_hops: ClassVar[int] = 0

    def __init__(self, settings: MelSettings):
        self.settings = settings

    @property
    def rate_hz(self) -> int:
        """Samples per second of the sound."""
        return self.settings.rate_hz

    @abstractmethod
    def frames_per_tr(self, tr_s: float) -> int:
        """Frames a TR from which least is lost: about one a hop."""

    def __call__(
        self, log_mel: Float[np.ndarray, "tr frame mel"], clock: Clock
    ) -> Float32[np.ndarray, " sample"]:
        """Sound whose log-mel spectrogram is near to the given one.

        Arguments
            log_mel: natural log of mel amplitude, as `log_mel_of_sound` gives it.
            clock: the scanner's, with as many frames per TR as ``log_mel``; its n_trs may differ.

        Returns
            n_trs * tr_s seconds of samples, the first at the onset of the first TR.

        Raises
            SettingsError: frames or bands differ from those of the clock and the settings, or
                values are not finite.
        """
        return np.concatenate(list(self.stream([log_mel], replace(clock, n_trs=len(log_mel)))))

    def stream(
        self, parts: Iterable[Float[np.ndarray, "_ frame mel"]], clock: Clock, skip: int = 0
    ) -> Iterator[Float32[np.ndarray, "_"]]:
        """The same sound piece by piece, in little memory however long it is.

        Arguments
            parts: log-mel of consecutive TRs, any number at a time, all n_trs of the clock.
            clock: as in a call.
            skip: first pieces to leave out, for they are there already; the others stay the same.

        Yields
            Samples, each piece where the one before ended; together what a call gives.

        Raises
            SettingsError: as a call; more or fewer TRs than the clock's.
        """
        n_samples = round(clock.duration_s * self.rate_hz)
        hops = self._hops(clock, n_samples)
        rows = hops.resampled(self._checked(parts, clock))
        fade, faded = self.fade_hops * hops.hop_samples, None
        for index, block in enumerate(overlapping(rows, self.block_hops, self.context_hops)):
            # The last piece that is left out still fades into the next.
            if index < skip - 1:
                continue
            first = (block.start - block.before) * hops.hop_samples
            end = n_samples - first if block.last else None
            sound = self._sound(block, hops.hop_samples, end)
            if not block.last:
                sound = sound[: block.stop * hops.hop_samples + fade - first]
            if faded is not None:
                sound = sound[block.before * hops.hop_samples - fade :]
                sound[: 2 * fade] = _faded(faded, sound[: 2 * fade])
            whole = len(sound) if block.last else len(sound) - 2 * fade
            faded = sound[whole:]
            if index >= skip:
                yield sound[:whole]

    @abstractmethod
    def _hops(self, clock: Clock, n_samples: int) -> Hops:
        """Where frames are wanted for so many samples."""

    @abstractmethod
    def _sound(
        self, block: Block, hop_samples: int, n_samples: int | None
    ) -> Float32[np.ndarray, " sample"]:
        """Sound of all rows of a block, hop j from sample j * hop_samples on."""

    def _checked(self, parts, clock: Clock) -> Iterator[np.ndarray]:
        n_trs = 0
        for log_mel in parts:
            n_frames, n_mels = log_mel.shape[1:]
            if n_frames != clock.frames_per_tr:
                raise SettingsError(
                    f"log_mel has {n_frames} frames per TR, the clock {clock.frames_per_tr}: "
                    "pass clock.with_frames(...) of the spectrogram."
                )
            if n_mels != self.settings.n_mels:
                raise SettingsError(
                    f"log_mel has {n_mels} bands, the settings {self.settings.n_mels}: "
                    "pass the MelSettings that it was made with."
                )
            if not np.isfinite(log_mel).all():
                raise SettingsError(
                    "log_mel holds NaN or infinite values: expected finite logarithms."
                )
            n_trs += len(log_mel)
            yield log_mel.reshape(-1, log_mel.shape[-1])
        if n_trs != clock.n_trs:
            raise SettingsError(
                f"The spectrogram has {n_trs} TRs, the clock {clock.n_trs}: pass a clock with "
                "n_trs of the spectrogram."
            )


def _faded(ending: np.ndarray, beginning: np.ndarray) -> np.ndarray:
    """Of equal power throughout, as two sounds of unrelated phases need."""
    angle = np.linspace(0, np.pi / 2, len(ending), dtype=np.float32)
    return ending * np.cos(angle) + beginning * np.sin(angle)


_N_STEPS = 32


def magnitudes_of_mel(
    log_mel: Float[np.ndarray, "frame mel"], settings: MelSettings
) -> Float32[np.ndarray, "frequency frame"]:
    """Magnitudes of 0 and more whose mel bands are near to the given ones, in least squares.

    There are more frequencies than bands. Of all that fit, this is near the smallest: it begins at
    the pseudo-inverse without what is negative.

    Arguments
        log_mel: natural log of mel amplitude.
        settings: by which it was made.

    Source: accelerated projected gradient (Beck and Teboulle 2009, FISTA), with each band and each
    frequency in its own scale (Andersen and Kak 1984, SART), so that bands of any loudness count.
    """
    # A model's outliers must not overflow.
    mel = np.exp(np.clip(log_mel, -20.0, 10.0)).T.astype(np.float32)
    bands, inverse, height, reach = _scaled_filters(settings)
    wanted = mel / height
    found = ahead = np.maximum(inverse @ wanted, 0)
    momentum = 1.0
    for _ in range(_N_STEPS):
        step = bands.T @ (wanted - bands @ ahead)
        before, found = found, np.maximum(ahead + step / reach, 0)
        after = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = found + (momentum - 1) / after * (found - before)
        momentum = after
    return found


@lru_cache(maxsize=8)
def _scaled_filters(settings: MelSettings):
    """Filters that each sum to 1, their pseudo-inverse, their former sums, and those of columns."""
    filters = mel_filters(settings)
    # Some bands are narrower than a frequency, and see none.
    height = np.maximum(filters.sum(1, keepdims=True), 1e-8)
    bands = filters / height
    reach = np.maximum(bands.sum(0)[:, None], 1e-6)
    return bands, np.linalg.pinv(bands), height, reach


class GriffinLim(Vocoder):
    """Magnitudes by `magnitudes_of_mel`, phases by fast Griffin-Lim with librosa.

    Source: Perraudin, Balazs and Sondergaard 2013, A fast Griffin-Lim algorithm. It takes any
    `MelSettings` and any frames per TR, and knows nothing of what sound is like: what it adds by
    itself is heard in the round trip of the original.

    Arguments
        settings: of the spectrograms.
        n_iter: iterations.
        seed: of the first phases; the same seed gives the same sound.
    """

    name = "griffin_lim"
    block_hops = 4096
    context_hops = 16
    fade_hops = 4

    def __init__(
        self,
        settings: MelSettings,
        *,
        n_iter: Annotated[int, Field(ge=1, le=10_000)] = 48,
        seed: Annotated[int, Field(ge=0)] = 0,
    ):
        super().__init__(settings)
        self.n_iter, self.seed = n_iter, seed

    def frames_per_tr(self, tr_s: float) -> int:
        return max(1, round(tr_s * self.rate_hz / (self.settings.window_samples // 4)))

    def _hops(self, clock: Clock, n_samples: int) -> Hops:
        frame_samples = self.rate_hz * clock.frame_s
        # A hop of at most a quarter window keeps the frames consistent with one another.
        hop = max(1, min(round(frame_samples), self.settings.window_samples // 4))
        return Hops(frame_samples, hop, 0.0, n_samples // hop + 1)

    def _sound(
        self, block: Block, hop_samples: int, n_samples: int | None
    ) -> Float32[np.ndarray, " sample"]:
        sound = librosa.griffinlim(
            magnitudes_of_mel(block.rows, self.settings),
            n_iter=self.n_iter,
            hop_length=hop_samples,
            n_fft=self.settings.window_samples,
            momentum=0.99,
            length=n_samples,
            random_state=np.random.default_rng([self.seed, block.start]),
        )
        return sound.astype(np.float32)
