"""What every vocoder does: a log-mel spectrogram on the scanner's clock to sound, in a stream."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32

from subtr.params import SettingsError
from subtr.stimulus.mel import MelSettings
from subtr.timeline import Clock
from subtr.vocoders.hops import Block, Hops, overlapping


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
            _check(log_mel, clock, self.settings)
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


def _check(log_mel: np.ndarray, clock: Clock, settings: MelSettings):
    n_frames, n_mels = log_mel.shape[1:]
    if n_frames != clock.frames_per_tr:
        raise SettingsError(
            f"log_mel has {n_frames} frames per TR, the clock {clock.frames_per_tr}: "
            "pass clock.with_frames(...) of the spectrogram."
        )
    if n_mels != settings.n_mels:
        raise SettingsError(
            f"log_mel has {n_mels} bands, the settings {settings.n_mels}: "
            "pass the MelSettings that it was made with."
        )
    if not np.isfinite(log_mel).all():
        raise SettingsError("log_mel holds NaN or infinite values: expected finite logarithms.")
