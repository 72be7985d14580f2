"""Scores of predicted BOLD with floor, ceiling and interval, as rows of a tidy table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from subtr.bold_pattern_scoring import pattern_rows
from subtr.held_out_bold import HeldOutBold
from subtr.metrics import (
    block_bootstrap,
    centred_by_fold,
    cross_subject_r,
    false_discovery_q,
    pearson_r,
    permutation_p,
    r2_score,
    shift_null,
    standardise_by_fold,
    wrong_subject_p,
    wrong_subject_scores,
)
from subtr.scoring import Row, block_trs


def bold_rows(
    prediction: Float[np.ndarray, "tr parcel"],
    bold: HeldOutBold,
    calibrated: Float[np.ndarray, "tr parcel"] | None = None,
    **labels: Any,
) -> list[Row]:
    """Scores of all parcels together, and of each tuning class or region.

    "r" and "r / ceiling" average r and divide by the mean ceiling; the floor is the 95th percentile
    of the same mean r when predictions are shifted along in time by 16 s or more. "R2" is the share
    of the variance that is predicted, the training mean being its floor: the level of each test
    block is set aside on both sides, for drift extrapolated from training moves it, and what is
    calibrated beside the block would be credited with that. "p (shift)" of the whole and of each
    parcel is the share of such shifts that do as well, "q (FDR)" what it is worth among so many
    parcels; ``group`` then is the parcel's name. Patterns: see `pattern_rows`.

    Arguments
        calibrated: the prediction in the units of z-scored BOLD, for R2; None leaves R2 out.
    """
    trs = bold.trs
    # Both are standardised over the same volumes, those that are not masked.
    prediction = np.where(np.isfinite(bold.mean), prediction, np.nan)
    blocks = [np.searchsorted(trs, test) for test in bold.tests]
    predicted = standardise_by_fold(prediction, bold.tests)[trs]
    measured = bold.mean[trs]
    n_trs, least_shift = len(trs), int(np.ceil(16 / bold.tr_s))
    _, null = shift_null(predicted, measured, min(least_shift, n_trs // 2), blocks)
    names = ["", *dict.fromkeys(bold.groups)]
    chosen = [np.ones(len(bold.groups), bool)] + [bold.groups.eq(n).to_numpy() for n in names[1:]]
    in_units = calibrated is not None and bold.mean_z is not None
    if in_units:
        found, wanted = (centred_by_fold(of, bold.tests)[trs] for of in (calibrated, bold.mean_z))

    def by_group(values):
        return np.array([_mean(values[of]) for of in chosen])

    def scores(index):
        r = by_group(pearson_r(predicted[index], measured[index]))
        if not in_units:
            return np.stack([r, np.full_like(r, np.nan)])
        return np.stack([r, by_group(r2_score(found[index], wanted[index]))])

    values = scores(np.arange(n_trs))
    low, high = block_bootstrap(scores, n_trs, block_trs(n_trs, bold.tr_s), n_boot=300)
    floors = np.array([np.percentile(_row_means(null[:, of]), 95) for of in chosen])
    rows = []
    for index, name in enumerate(names):
        ceiling = _mean(bold.ceiling[chosen[index]])
        ends = {"value": values, "low": low, "high": high}
        r, r2 = ({key: float(of[score, index]) for key, of in ends.items()} for score in (0, 1))
        r["floor"] = floors[index]
        rows.append({"metric": "r", "group": name, **r, "ceiling": ceiling})
        if ceiling > 0.1:
            share = {key: value / ceiling for key, value in r.items()}
            rows.append({"metric": "r / ceiling", "group": name, **share, "ceiling": 1.0})
        if np.isfinite(r2["value"]):
            reachable = _mean(bold.ceiling[chosen[index]] ** 2)
            rows.append({"metric": "R2", "group": name, **r2, "floor": 0.0, "ceiling": reachable})
    rows += _chance_rows(pearson_r(predicted, measured), null, bold.groups.index)
    rows += pattern_rows(predicted, measured, trs, bold.tr_s, bold.run_of_tr)
    return [labels | {"modality": "bold"} | row for row in rows]


def _chance_rows(r: np.ndarray, null: np.ndarray, parcels: pd.Index) -> list[Row]:
    """p and q of shifts: of the mean r, and of each parcel."""
    p = np.atleast_1d(permutation_p(r, null))
    of_mean = permutation_p(_mean(r), _row_means(null))
    rows = [{"metric": "p (shift)", "group": "", "value": of_mean}]
    for metric, values in (("p (shift)", p), ("q (FDR)", false_discovery_q(p))):
        rows += [
            {"metric": metric, "group": str(parcel), "value": float(value)}
            for parcel, value in zip(parcels, values, strict=True)
        ]
    return rows


def control_rows(
    predictions: Mapping[str, Float[np.ndarray, "tr parcel"]], bold: HeldOutBold, **labels: Any
) -> list[Row]:
    """What a prediction owes to the order of frames, and what heads owe to their own subject.

    "r, single subjects" is how the prediction of the group, or of all heads together, carries to
    each subject, with the inter-subject ceiling in ``ceiling_rows``.

    Arguments
        predictions: "frames shuffled" -> what the same networks predict when each TR's frames come
            in random order; "phases randomised" -> the same of a stimulus of random phases; "mean"
            -> their prediction; subject -> that of their own head, where there are such.
    """
    rows = []
    for control in ("frames shuffled", "phases randomised"):
        if control in predictions:
            found = standardise_by_fold(predictions[control], bold.tests)
            rows.append({"metric": f"r, {control}", "value": _mean(pearson_r(found, bold.mean))})
    if "mean" in predictions and len(bold.subjects) > 1:
        rows.append(_single_subjects(standardise_by_fold(predictions["mean"], bold.tests), bold))
    heads = {
        name: standardise_by_fold(predictions[name], bold.tests)
        for name in bold.subjects
        if name in predictions
    }
    if len(heads) > 1:
        right, wrong = wrong_subject_scores(heads, bold.subjects)
        p = wrong_subject_p(heads, bold.subjects)
        rows.append({"metric": "r, own subject", "value": _mean(right)})
        rows.append({"metric": "r, wrong subject", "value": _mean(wrong)})
        rows.append({"metric": "p, own against wrong subject", "value": _mean(p)})
    return [labels | {"modality": "bold"} | row for row in rows]


def _single_subjects(prediction: np.ndarray, bold: HeldOutBold) -> Row:
    """Mean r with each subject by themselves, and its interval over subjects."""
    each = cross_subject_r({"": prediction}, bold.subjects)[0]
    r = np.array([_mean(of_subject) for of_subject in each])
    interval = block_bootstrap(lambda of: _mean(r[of]), len(r), 1)
    row = {"metric": "r, single subjects", "value": _mean(r)}
    return row | {"low": interval.low, "high": interval.high}


def _row_means(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)


def _mean(values: np.ndarray) -> float:
    """Mean of what is known; NaN when nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
