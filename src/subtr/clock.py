"""Seconds, TRs and frames on one exact clock.

Every index is computed from a time; none is accumulated, so nothing drifts over an hour of film.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from subtr.errors import SettingsError


@dataclass(frozen=True)
class Clock:
    """The acquisition grid of a study, laid over the stimulus.

    TR ``t`` covers stimulus seconds ``onset_s + t * tr_s`` to ``onset_s + (t + 1) * tr_s`` and is
    divided into ``frames_per_tr`` frames of equal length.

    Arguments
        tr_s: repetition time in seconds, 0.1 to 20.
        n_trs: number of volumes.
        onset_s: stimulus time in seconds at which TR 0 begins; may be negative when the scanner
            started before the stimulus.
        frames_per_tr: frames in each TR.

    Raises
        SettingsError: a value that no scanner has, such as a TR given in milliseconds.
    """

    tr_s: float
    n_trs: int
    onset_s: float = 0.0
    frames_per_tr: int = 64

    def __post_init__(self):
        if not (math.isfinite(self.tr_s) and 0.1 <= self.tr_s <= 20.0):
            hint = f" Did you mean {self.tr_s / 1000:g} s?" if 100 <= self.tr_s <= 20_000 else ""
            raise SettingsError(f"tr_s = {self.tr_s!r}: expected seconds from 0.1 to 20.{hint}")
        if self.n_trs < 1:
            raise SettingsError(f"n_trs = {self.n_trs!r}: expected at least one volume.")
        if self.frames_per_tr < 1:
            raise SettingsError(f"frames_per_tr = {self.frames_per_tr!r}: expected at least 1.")
        if not math.isfinite(self.onset_s):
            raise SettingsError(f"onset_s = {self.onset_s!r}: expected a finite time in seconds.")

    @classmethod
    def covering(cls, duration_s: float, tr_s: float, **options) -> "Clock":
        """The clock of all whole TRs that fit into a stimulus of ``duration_s`` seconds."""
        # A film of 15 s has 10 TRs of 1.5 s; the small term forgives rounding in its duration.
        n_trs = math.floor(duration_s / tr_s + 1e-6)
        if n_trs < 1:
            raise SettingsError(
                f"The stimulus lasts {duration_s:.2f} s, less than one TR of {tr_s:g} s: "
                "use a longer stimulus or a shorter tr_s."
            )
        return cls(tr_s=tr_s, n_trs=n_trs, **options)

    @property
    def frame_s(self) -> float:
        """Length of a frame in seconds."""
        return self.tr_s / self.frames_per_tr

    @property
    def frame_hz(self) -> float:
        """Frames per second."""
        return self.frames_per_tr / self.tr_s

    @property
    def duration_s(self) -> float:
        """Length of all volumes in seconds."""
        return self.n_trs * self.tr_s

    def frame_times_s(self) -> Float64[np.ndarray, "tr frame"]:
        """Stimulus time in seconds of each frame's centre: onset + (t + (k + 1/2) / F) TR."""
        tr = np.arange(self.n_trs, dtype=np.float64)[:, None]
        frame = np.arange(self.frames_per_tr, dtype=np.float64)[None, :]
        return self.onset_s + (tr + (frame + 0.5) / self.frames_per_tr) * self.tr_s

    def tr_times_s(self) -> Float64[np.ndarray, " tr"]:
        """Stimulus time in seconds at which each TR begins."""
        return self.onset_s + np.arange(self.n_trs, dtype=np.float64) * self.tr_s

    def sample_of_frames(self, rate_hz: float) -> Int64[np.ndarray, "tr frame"]:
        """Index of the sound sample nearest to each frame's centre; negative before the sound."""
        return np.rint(self.frame_times_s() * rate_hz).astype(np.int64)

    def frame_of(self, time_s: float) -> tuple[int, int]:
        """The (TR, frame) that contains a stimulus time in seconds.

        Raises
            SettingsError: the time lies outside of the volumes.
        """
        # A time on a boundary opens the next frame; 1e-9 s absorbs the rounding of the division.
        index = math.floor((time_s - self.onset_s + 1e-9) / self.tr_s * self.frames_per_tr)
        if not 0 <= index < self.n_trs * self.frames_per_tr:
            end_s = self.onset_s + self.duration_s
            raise SettingsError(
                f"time {time_s:g} s lies outside of the volumes ({self.onset_s:g} to {end_s:g} s)."
            )
        return divmod(index, self.frames_per_tr)

    def with_frames(self, frames_per_tr: int) -> "Clock":
        """The same volumes divided into another number of frames."""
        return replace(self, frames_per_tr=frames_per_tr)
