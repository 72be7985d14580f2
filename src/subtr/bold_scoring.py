"""Scores of predicted BOLD with floor, ceiling and interval, as rows of a tidy table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Int

from subtr.bold.cleaning import Cleaner
from subtr.metrics import (
    block_bootstrap,
    circular_shift_null,
    pearson_r,
    split_half_ceiling,
    standardise_by_fold,
    wrong_subject_p,
    wrong_subject_scores,
)
from subtr.scoring import Row, block_trs
from subtr.splits import Split
from subtr.study import Study


def cleaned_bold(
    study: Study, split: Split, drift_order: int
) -> tuple[dict[str, Float64[np.ndarray, "tr parcel"]], Float64[np.ndarray, "tr parcel"]]:
    """BOLD without drift and z-scored, by subject and as the subjects' mean.

    Drift, means and deviations are those of the training TRs.
    """
    subjects, total, count = {}, 0.0, 0
    for subject, bold in study.bold.items():
        confounds = study.confounds.get(subject)
        cleaner = Cleaner(study.clock.tr_s, drift_order, confounds).fit(bold, split.train)
        subjects[subject] = cleaned = cleaner.transform(bold)
        # Summed one by one: a stack of many subjects would be held twice.
        known = np.isfinite(cleaned)
        total, count = total + np.where(known, cleaned, 0.0), count + known
    mean = np.where(count, total / np.maximum(count, 1), np.nan)
    return subjects, Cleaner(study.clock.tr_s, 0).fit(mean, split.train).transform(mean)


@dataclass(frozen=True)
class HeldOutBold:
    """The BOLD of all test blocks, cleaned by what their training TRs say, and its ceiling.

    Arguments
        mean: subjects' mean (TR, parcel), each test block standardised; NaN where never tested.
        subjects: the same of each subject.
        ceiling: highest r a model of the shared signal can reach, per parcel; NaN with one subject.
        tests: the test blocks.
        groups: tuning class or region of each parcel.
    """

    mean: Float64[np.ndarray, "tr parcel"]
    subjects: dict[str, Float64[np.ndarray, "tr parcel"]]
    ceiling: Float64[np.ndarray, " parcel"]
    tests: list[Int[np.ndarray, " _"]]
    groups: pd.Series
    tr_s: float


def held_out_bold(study: Study, splits: list[Split], drift_order: int) -> HeldOutBold:
    """What predictions of the test blocks are scored against."""
    shape = (study.clock.n_trs, len(study.parcels))
    mean = np.full(shape, np.nan)
    subjects = {subject: np.full(shape, np.nan) for subject in study.subjects}
    for split in splits:
        each, group = cleaned_bold(study, split, drift_order)
        mean[split.test] = group[split.test]
        for subject, bold in each.items():
            subjects[subject][split.test] = bold[split.test]
    tests = [split.test for split in splits]
    subjects = {subject: standardise_by_fold(bold, tests) for subject, bold in subjects.items()}
    ceiling = np.full(shape[1], np.nan)
    if len(subjects) > 1:
        ceiling = split_half_ceiling(subjects)
    mean = standardise_by_fold(mean, tests)
    return HeldOutBold(mean, subjects, ceiling, tests, study.parcels["tuning"], study.clock.tr_s)


def bold_rows(
    prediction: Float[np.ndarray, "tr parcel"], bold: HeldOutBold, **labels: Any
) -> list[Row]:
    """Held-out r and r / ceiling: of all parcels together, and of each tuning class or region.

    Classes average r and divide by the mean ceiling. The floor is the 95th percentile of the same
    mean r when predictions are shifted along in time by 16 s or more.
    """
    trs = np.sort(np.concatenate(bold.tests))
    # Both are standardised over the same volumes, those that are not masked.
    prediction = np.where(np.isfinite(bold.mean), prediction, np.nan)
    predicted = standardise_by_fold(prediction, bold.tests)[trs]
    measured = bold.mean[trs]
    n_trs, least_shift = len(trs), int(np.ceil(16 / bold.tr_s))
    null = circular_shift_null(predicted, measured, min(least_shift, n_trs // 2), n_draws=200)
    names = ["", *dict.fromkeys(bold.groups)]
    chosen = [np.ones(len(bold.groups), bool)] + [bold.groups.eq(n).to_numpy() for n in names[1:]]

    def by_group(r):
        return np.array([_mean(r[of]) for of in chosen])

    values = by_group(pearson_r(predicted, measured))
    interval = block_bootstrap(
        lambda index: by_group(pearson_r(predicted[index], measured[index])),
        n_trs,
        block_trs(n_trs, bold.tr_s),
        n_boot=300,
    )
    floors = np.array([np.percentile([_mean(row[of]) for row in null], 95) for of in chosen])
    rows = []
    for index, name in enumerate(names):
        ceiling = _mean(bold.ceiling[chosen[index]])
        r = {
            "value": values[index],
            "low": interval.low[index],
            "high": interval.high[index],
            "floor": floors[index],
        }
        rows.append({"metric": "r", "group": name, **r, "ceiling": ceiling})
        if ceiling > 0.1:
            share = {key: value / ceiling for key, value in r.items()}
            rows.append({"metric": "r / ceiling", "group": name, **share, "ceiling": 1.0})
    return [labels | {"modality": "bold"} | row for row in rows]


def control_rows(
    predictions: Mapping[str, Float[np.ndarray, "tr parcel"]], bold: HeldOutBold, **labels: Any
) -> list[Row]:
    """What a prediction owes to the order of frames, and what heads owe to their own subject.

    Arguments
        predictions: "frames shuffled" -> what the same networks predict when each TR's frames come
            in random order; subject -> the prediction of their own head, where there are such.
    """
    mixed = standardise_by_fold(predictions["frames shuffled"], bold.tests)
    rows = [{"metric": "r, frames shuffled", "value": _mean(pearson_r(mixed, bold.mean))}]
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


def _mean(values: np.ndarray) -> float:
    """Mean of what is known; NaN when nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
