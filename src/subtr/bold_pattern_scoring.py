"""Scores of predicted patterns of BOLD, and of the ceilings of all scores, as rows."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from subtr.errors import SettingsError
from subtr.held_out_bold import HeldOutBold
from subtr.items import consecutive
from subtr.metrics import (
    block_bootstrap,
    comparable_pairs,
    cut_segments,
    dissimilarities,
    identify,
    intersubject_ceiling,
    intersubject_interval,
    pattern_correlation,
    representational_interval,
    representational_similarity,
    segment_patterns,
    split_half_interval,
)
from subtr.metrics.spatial import LEAST_PARCELS
from subtr.scoring import Row, block_trs

SEGMENT_S = 15.0
# Until the response to a segment has faded, its neighbours are no fair distractors.
OVERLAP_S = 16.0
IDENTIFIED = {"pairwise": "identification (pairwise)", "top1": "identification (top-1)"}


def pattern_rows(
    predicted: Float[np.ndarray, "tested parcel"],
    measured: Float[np.ndarray, "tested parcel"],
    trs: Int[np.ndarray, " tested"],
    tr_s: float,
    run_of_tr: Int[np.ndarray, " _"] | None = None,
    segment_s: float = SEGMENT_S,
    **labels: Any,
) -> list[Row]:
    """Identification of segments, and how well patterns over parcels are predicted.

    "identification (top-1)" and "(pairwise)": which segment of 15 s was it, by the pattern over
    parcels and TRs; floor: the 95th percentile of predictions moved along in time; chance in
    "... chance", p in "... p". "pattern r": mean r across parcels at each TR.
    "representational similarity": Spearman correlation of the dissimilarities of segments. Those of
    neighbours within 16 s never count. What there are too few TRs or parcels for is left out.

    Arguments
        predicted, measured: each test block standardised.
        trs: which TRs of the study the rows are.
    """
    runs = np.zeros(int(trs.max()) + 1, int) if run_of_tr is None else run_of_tr
    segment_trs, overlap_trs = round(segment_s / tr_s), int(np.ceil(OVERLAP_S / tr_s))
    whole = np.full((2, len(runs), predicted.shape[1]), np.nan)
    whole[0, trs], whole[1, trs] = predicted, measured
    rows = []
    try:
        segments = cut_segments(consecutive(trs, runs), max(segment_trs, 1))
        found = identify(whole[1], whole[0], segments, overlap_trs, runs, n_draws=100)
    except SettingsError:  # too short for segments far enough apart
        segments = None
    if segments is not None:
        rows += identification_rows(found)
        usable = np.isfinite(whole[:, segments]).all(axis=(0, 1, 2))
        pairs = comparable_pairs(segments, overlap_trs, runs)
        if usable.sum() >= LEAST_PARCELS and len(pairs[0]) >= 3:
            matrices = [dissimilarities(segment_patterns(of[:, usable], segments)) for of in whole]
            rows.append(_representational(*matrices, pairs))
    if predicted.shape[1] >= LEAST_PARCELS:
        r = pattern_correlation(predicted, measured)
        # One feature without an HRF of its own makes all parcels alike, of which no pattern comes.
        if np.isfinite(r).mean() >= 0.5:
            size = block_trs(len(r), tr_s)
            low, high = block_bootstrap(lambda of: _mean(r[of]), len(r), size, n_boot=300)
            rows.append({"metric": "pattern r", "value": _mean(r), "low": low, "high": high})
    return [labels | {"modality": "bold", "group": ""} | row for row in rows]


def identification_rows(found, prefix: str = "") -> list[Row]:
    """Both scores of `subtr.metrics.Identified` with floor and interval, chance and p beside them.

    Arguments
        prefix: before the names of the metrics.
    """
    rows = []
    for name, metric in IDENTIFIED.items():
        low, high = found.interval(name)
        row = {"metric": prefix + metric, "value": found.value(name), "low": low, "high": high}
        rows.append(row | {"floor": found.floor(name), "ceiling": 1.0})
        rows.append({"metric": f"{prefix}{metric} chance", "value": found.chance(name)})
        rows.append({"metric": f"{prefix}{metric} p", "value": found.p(name)})
    return rows


def ceiling_rows(bold: HeldOutBold, **labels: Any) -> list[Row]:
    """Split-half and inter-subject ceilings of all parcels and of each group, with intervals.

    None with a single subject.
    """
    if len(bold.subjects) < 2:
        return []
    names = ["", *dict.fromkeys(bold.groups)]
    parts = np.stack([bold.groups.eq(name).to_numpy() | (name == "") for name in names])
    tested = {subject: of[bold.trs] for subject, of in bold.subjects.items()}
    ceilings = {
        "split-half ceiling": (bold.ceiling, split_half_interval(tested, parts)),
        "inter-subject ceiling": (
            intersubject_ceiling(tested),
            intersubject_interval(tested, parts),
        ),
    }
    rows = []
    for metric, (values, (low, high)) in ceilings.items():
        for index, name in enumerate(names):
            row = {"metric": metric, "group": name, "value": _mean(values[parts[index]])}
            rows.append(row | {"low": float(low[index]), "high": float(high[index])})
    return [labels | {"modality": "bold"} | row for row in rows]


def _representational(predicted, measured, pairs) -> Row:
    value = representational_similarity(predicted, measured, pairs)
    low, high = representational_interval(predicted, measured, pairs, n_boot=100)
    return {
        "metric": "representational similarity",
        "value": value,
        "low": low,
        "high": high,
        "floor": 0.0,
    }


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
