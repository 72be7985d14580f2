"""Scores of reconstructions with floor, ceiling and interval, as rows of a tidy table."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Shaped

from subtr.metrics.bold import known_mean
from subtr.metrics.inference import block_bootstrap
from subtr.metrics.temporal import (
    frame_correlation,
    frame_correlations,
    mel_correlation,
    motion_sums,
    preservation_sums,
    preservation_sums_by_band,
)

Row = dict[str, Any]

BLOCK_S = 15.0


def block_trs(n_trs: int, tr_s: float) -> int:
    """TRs of a bootstrap block: 15 s, or less where there are fewer than four such blocks."""
    return max(1, min(round(BLOCK_S / tr_s), n_trs // 4))


def sound_rows(
    original: Shaped[np.ndarray, "tr frame mel"],
    reconstruction: Shaped[np.ndarray, "tr frame mel"],
    tr_s: float,
    **labels: Any,
) -> list[Row]:
    """Temporal preservation, whole and by modulation band, and mel correlation of held-out TRs.

    The floor of the preservation is 0, what averaging keeps; intervals resample blocks of 15 s.
    """
    n_trs, n_frames = original.shape[:2]
    frame_hz = n_frames / tr_s
    sums = {"temporal preservation": preservation_sums(original, reconstruction)}
    by_band = preservation_sums_by_band(original, reconstruction, frame_hz)
    sums |= {f"temporal preservation {band}": of for band, of in by_band.items()}
    rows = []
    for metric, of in sums.items():
        row = _row(metric, of.score(), of.score, n_trs, tr_s)
        rows.append(row | {"floor": 0.0, "ceiling": 1.0})
    rows.append(_compared("mel correlation", mel_correlation, original, reconstruction, tr_s))
    return [labels | {"modality": "sound"} | row for row in rows]


def picture_rows(
    original: Shaped[np.ndarray, "tr picture height width 3"],
    reconstruction: Shaped[np.ndarray, "tr picture height width 3"],
    tr_s: float,
    **labels: Any,
) -> list[Row]:
    """Temporal preservation, frame correlation and agreement of motion of held-out TRs.

    The floor of the motion coherence is 0, that of a picture that stands still, whose end-point
    error is 1; less of that is better, down to 0. Motion needs two pictures a TR.
    """
    sums = preservation_sums(original, reconstruction)
    scores = {"temporal preservation": (sums.score, 0.0, 1.0)}
    if original.shape[1] > 1:
        motion = motion_sums(original, reconstruction)
        scores["motion coherence"] = (motion.coherence, 0.0, 1.0)
        scores["motion end-point error"] = (motion.end_point_error, 1.0, 0.0)
    rows = []
    for metric, (score, floor, ceiling) in scores.items():
        row = _row(metric, score(), score, len(original), tr_s)
        rows.append(row | {"floor": floor, "ceiling": ceiling})
    # Frame by frame once: resampling TRs then costs nothing.
    found = frame_correlations(original, reconstruction)
    averaged = np.broadcast_to(original.mean(axis=1, keepdims=True), original.shape)
    row = _row(
        "frame correlation",
        known_mean(found),
        lambda trs: known_mean(found[trs]),
        len(original),
        tr_s,
    )
    floor = frame_correlation(original, averaged)
    rows.append(row | {"floor": floor, "ceiling": 1.0})
    return [labels | {"modality": "pictures"} | row for row in rows]


def _compared(metric: str, score: Callable, original, reconstruction, tr_s) -> Row:
    """A score that no sums per TR exist for; its floor holds each TR's mean."""
    averaged = np.broadcast_to(original.mean(axis=1, keepdims=True), original.shape)
    row = _row(
        metric,
        score(original, reconstruction),
        lambda trs: score(original[trs], reconstruction[trs]),
        len(original),
        tr_s,
        n_boot=100,
    )
    return row | {"floor": score(original, averaged), "ceiling": 1.0}


def _row(metric, value, statistic, n_trs, tr_s, n_boot=500) -> Row:
    low, high = block_bootstrap(statistic, n_trs, block_trs(n_trs, tr_s), n_boot)
    return {"metric": metric, "value": float(value), "low": low, "high": high}
