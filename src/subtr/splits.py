"""Train, validation and test as blocks of time, kept apart by gaps as long as the HRF."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Int64

from subtr.bold.hrf import HRF_DURATION_S
from subtr.errors import SettingsError, StudyError


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
    near = np.zeros(len(run_of_tr), dtype=bool)
    for run in np.unique(run_of_tr[block]):
        (inside,) = np.nonzero(run_of_tr == run)
        for tr in block[run_of_tr[block] == run]:
            near[inside[np.abs(inside - tr) <= n_gap]] = True
    return near[candidates]
