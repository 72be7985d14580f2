"""Seconds, TRs and frames; train, validation and test as blocks of time with gaps between."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int, Int64

from subtr.params import SettingsError, StudyError


def consecutive(
    trs: Int[np.ndarray, " tr"], run_of_tr: Int[np.ndarray, " _"]
) -> list[Int[np.ndarray, " _"]]:
    """``trs`` cut into stretches without a hole, none of which crosses from run to run."""
    breaks = np.flatnonzero((np.diff(trs) != 1) | (np.diff(run_of_tr[trs]) != 0)) + 1
    return [stretch for stretch in np.split(trs, breaks) if len(stretch)]


# After 24 s the SPM response is within 1.5 % of its peak. A longer kernel would widen, by as much,
# every gap between train and test, which a 10-minute study can ill afford.
HRF_DURATION_S = 24.0
Trs = Sequence[int] | range | Int[np.ndarray, " n"]


# Seconds, TRs and frames on one exact clock.
#
# Every index is computed from a time; none is accumulated, so nothing drifts over an hour of film.


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


@dataclass(frozen=True)
class Split:
    """Which TRs a model may learn from, choose by, and be judged on.

    Arguments
        train, validation, test: indices of TRs, ascending; TRs in the gaps are in none of them.
    """

    train: Int64[np.ndarray, " train"]
    validation: Int64[np.ndarray, " validation"]
    test: Int64[np.ndarray, " test"]

    @property
    def known(self) -> Int64[np.ndarray, " known"]:
        """TRs of training and validation, ascending: what a test block may be predicted from."""
        return np.sort(np.concatenate([self.train, self.validation]))


def block_splits(
    run_of_tr: Int64[np.ndarray, " tr"],
    tr_s: float,
    n_folds: int = 5,
    gap_s: float = HRF_DURATION_S,
    validation_fraction: float = 0.1,
) -> list[Split]:
    """Contiguous test blocks that together cover the study once, each with what goes with it.

    The validation block follows the test block, in a circle, so that the two share a gap. There
    is no gap between TRs of different runs, as no response crosses from one run to the next.

    Arguments
        run_of_tr: run of each TR.
        tr_s: repetition time in seconds.
        n_folds: number of test blocks.
        gap_s: seconds left out between any two of train, validation and test. BOLD responds to
            what went on up to 24 s before, so a shorter gap lets test stimuli into training.
        validation_fraction: share of all TRs that are for validation; 0 for none.

    Raises
        SettingsError: a value out of range.
        StudyError: the study is too short to leave anything to train on.
    """
    if n_folds < 2:
        raise SettingsError(f"n_folds = {n_folds!r}: expected at least 2 blocks.")
    if not gap_s >= 0:
        raise SettingsError(f"gap_s = {gap_s!r}: expected seconds, 0 or more.")
    if not 0 <= validation_fraction < 1 - 1 / n_folds:
        raise SettingsError(
            f"validation_fraction = {validation_fraction!r}: expected 0 up to "
            f"{1 - 1 / n_folds:g}, what {n_folds} folds leave beside the test block."
        )
    n_trs, n_gap = len(run_of_tr), math.ceil(gap_s / tr_s - 1e-9)
    edges = np.rint(np.linspace(0, n_trs, n_folds + 1)).astype(np.int64)
    n_validation = round(validation_fraction * n_trs)
    splits = []
    for first, last in pairwise(edges):
        test = np.arange(first, last)
        circle = np.concatenate([np.arange(last, n_trs), np.arange(first)])
        free = circle[~_near(circle, test, run_of_tr, n_gap)]
        validation = np.sort(free[:n_validation])
        near = _near(free, validation, run_of_tr, n_gap)
        split = Split(np.sort(free[~near]), validation, test)
        if not (len(split.train) and len(test) and len(validation) == n_validation):
            raise StudyError(
                f"{n_trs} TRs of {tr_s:g} s ({n_trs * tr_s:.0f} s) leave nothing to train on with "
                f"{n_folds} folds, gaps of {gap_s:g} s and validation_fraction = "
                f"{validation_fraction:g}: use a longer study or a smaller validation_fraction."
            )
        splits.append(split)
    return splits


def _near(candidates, block, run_of_tr, n_gap):
    """Which candidates lie in the block or closer to it than the gap, within the same run."""
    same_run = run_of_tr[candidates][:, None] == run_of_tr[block]
    return (same_run & (np.abs(candidates[:, None] - block) <= n_gap)).any(axis=1)
