"""How well a modulation is told from BOLD: ridge, held-out time, and chance."""

import math
from dataclasses import dataclass

import numpy as np

from subtr.identifiability.simulation import Recording
from subtr.metrics.inference import held_out_shift_null
from subtr.models.stimulus_decoder import BoldDecoder
from subtr.timeline import HRF_DURATION_S, block_splits

# Volumes up to this long after a TR tell of it; what comes later is undershoot.
WINDOW_S = 16.0
# Volumes of a held-out TR must not answer to the stimulus that volumes of a training TR answer to.
GAP_S = WINDOW_S + HRF_DURATION_S
_ALPHAS = tuple(10.0**power for power in range(7))


@dataclass(frozen=True)
class Recovery:
    """Held-out correlation, averaged over the parts of the target, and its chance level.

    Arguments
        r: between told and true, each test block standardised.
        floor: the 95th percentile of r when one is moved in time against the other.
    """

    r: float
    floor: float


def recover(recording: Recording, tr_s: float | int, n_folds: int = 3) -> Recovery:
    """Tells the target of held-out blocks from all parcels, 0 to 16 s after each TR.

    Penalties are chosen by blocks within the training TRs; there, and between training and test,
    40 s are left out.

    Raises
        StudyError: a recording too short to be split so.
    """
    n_trs = len(recording.bold) - math.floor(WINDOW_S / tr_s + 1e-9)
    whole = np.zeros(len(recording.bold), np.int64)
    told = np.full((n_trs, recording.target.shape[1]), np.nan)
    splits = block_splits(whole[:n_trs], float(tr_s), n_folds, GAP_S, validation_fraction=0.0)
    for split in splits:
        decoder = BoldDecoder(tr_s, (0.0, WINDOW_S), _ALPHAS, gap_s=GAP_S)
        decoder.fit(recording.bold, recording.target, split.train, whole)
        told[split.test] = decoder.predict(recording.bold, split.test, whole)
    tests = [split.test for split in splits]
    r, chance = held_out_shift_null(told, recording.target[:n_trs], tests, tr_s, GAP_S)
    # A prediction that never moves tells nothing.
    by_shift = np.nan_to_num(chance).mean(axis=1)
    return Recovery(float(np.nan_to_num(r).mean()), float(np.percentile(by_shift, 95)))
