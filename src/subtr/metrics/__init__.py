"""Scores, their intervals, ceilings and controls."""

from subtr.metrics.bold import (
    check_lag,
    lag_scan,
    pearson_r,
    r_over_ceiling,
    split_half_ceiling,
    standardise_by_fold,
)
from subtr.metrics.bootstrap import Interval, block_bootstrap, block_indices
from subtr.metrics.controls import (
    circular_shift_null,
    permutation_p,
    shuffle_frames,
    wrong_subject_p,
    wrong_subject_scores,
)
from subtr.metrics.modulation import (
    ModulationTransfer,
    averaging_gain,
    modulation_spectrum,
    modulation_transfer,
)
from subtr.metrics.temporal import (
    BANDS_HZ,
    PreservationSums,
    frame_correlation,
    frame_correlations,
    mean_known,
    mel_correlation,
    preservation_sums,
    preservation_sums_by_band,
    temporal_preservation,
    temporal_preservation_by_band,
)
from subtr.metrics.video import MotionSums, motion_coherence, motion_sums

__all__ = [
    "BANDS_HZ",
    "Interval",
    "ModulationTransfer",
    "MotionSums",
    "PreservationSums",
    "averaging_gain",
    "block_bootstrap",
    "block_indices",
    "check_lag",
    "circular_shift_null",
    "frame_correlation",
    "frame_correlations",
    "lag_scan",
    "mean_known",
    "mel_correlation",
    "modulation_spectrum",
    "modulation_transfer",
    "motion_coherence",
    "motion_sums",
    "pearson_r",
    "permutation_p",
    "preservation_sums",
    "preservation_sums_by_band",
    "r_over_ceiling",
    "shuffle_frames",
    "split_half_ceiling",
    "standardise_by_fold",
    "temporal_preservation",
    "temporal_preservation_by_band",
    "wrong_subject_p",
    "wrong_subject_scores",
]
