"""Scores of predicted BOLD with floor, ceiling and interval, as rows of a tidy table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Int

from subtr.bold.cleaning import Cleaner
from subtr.bold_pattern_scoring import pattern_rows
from subtr.metrics import (
    block_bootstrap,
    centred_by_fold,
    cross_subject_r,
    false_discovery_q,
    pearson_r,
    permutation_p,
    r2_score,
    shift_null,
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
        groups: tuning class or region of each parcel, by its name.
        mean_z: subjects' mean as the training TRs z-score it, for R2; None leaves R2 out.
        run_of_tr: run of each TR; one run if None.
    """

    mean: Float64[np.ndarray, "tr parcel"]
    subjects: dict[str, Float64[np.ndarray, "tr parcel"]]
    ceiling: Float64[np.ndarray, " parcel"]
    tests: list[Int[np.ndarray, " _"]]
    groups: pd.Series
    tr_s: float
    mean_z: Float64[np.ndarray, "tr parcel"] | None = None
    run_of_tr: Int[np.ndarray, " tr"] | None = None

    @property
    def trs(self) -> Int[np.ndarray, " _"]:
        """All tested TRs, ascending."""
        return np.sort(np.concatenate(self.tests))


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
    return HeldOutBold(
        standardise_by_fold(mean, tests),
        subjects,
        ceiling,
        tests,
        study.parcels["tuning"],
        study.clock.tr_s,
        mean,
        study.run_of_tr,
    )


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
