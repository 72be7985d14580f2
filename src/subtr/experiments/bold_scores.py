"""Scores of predicted BOLD with floor, ceiling and interval, as rows of a tidy table.

All rows go through `HeldOutBold.scored` or `subtr.metrics.bold.scored_on`: a prediction is masked
where the BOLD it is compared with is missing, and then standardised by test block.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from einops import rearrange
from jaxtyping import Bool, Float, Float64, Int

from subtr.datasets.held_out import HeldOutBold
from subtr.datasets.study import Study
from subtr.experiments.results import Row, block_trs
from subtr.metrics.bold import (
    check_lag,
    intersubject_ceiling,
    known_mean,
    lag_scan,
    pearson_r,
    r2_score,
    split_half_ceiling,
)
from subtr.metrics.identification import (
    LEAST_PARCELS,
    Identified,
    comparable_pairs,
    cut_segments,
    dissimilarities,
    identify,
    pattern_correlation,
    representational_interval,
    representational_similarity,
    segment_patterns,
)
from subtr.metrics.inference import (
    block_bootstrap,
    cross_subject_r,
    false_discovery_q,
    held_out_shift_null,
    intersubject_interval,
    permutation_p,
    shifted_r,
    split_half_interval,
    wrong_subject_p,
    wrong_subject_scores,
)
from subtr.models.ridge import ridge_features
from subtr.params import SettingsError
from subtr.timeline import consecutive

# A share of less than this is noise divided by noise.
LEAST_CEILING = 0.1

SEGMENT_S = 15.0

# Until the response to a segment has faded, its neighbours are no fair distractors.
OVERLAP_S = 16.0

IDENTIFIED = {"pairwise": "identification (pairwise)", "top1": "identification (top-1)"}

LONGEST_LAG_S = 16.0

# Of shorter runs there are too few lags beside those scanned to say what chance gives.
LEAST_RUN_S = 4 * LONGEST_LAG_S


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
    trs, of_groups = bold.trs, groups_of(bold.groups)
    predicted, measured = bold.scored(prediction)[trs], bold.mean[trs]
    n_trs = len(trs)
    _, null = held_out_shift_null(prediction, bold.mean, bold.tests, bold.tr_s)
    in_units = calibrated is not None and bold.mean_z is not None
    if in_units:
        found, wanted = (of[trs] for of in bold.centred(calibrated))

    def by_group(values):
        return np.array([known_mean(values[of]) for of in of_groups.values()])

    def scores(index):
        r = by_group(pearson_r(predicted[index], measured[index]))
        if not in_units:
            return np.stack([r, np.full_like(r, np.nan)])
        return np.stack([r, by_group(r2_score(found[index], wanted[index]))])

    values = scores(np.arange(n_trs))
    low, high = block_bootstrap(scores, n_trs, block_trs(n_trs, bold.tr_s), n_boot=300)
    rows: list[Row] = []
    for index, (name, of) in enumerate(of_groups.items()):
        ends = {"value": values, "low": low, "high": high}
        r, r2 = ({key: float(end[score, index]) for key, end in ends.items()} for score in (0, 1))
        r["floor"] = np.percentile(known_mean(null[:, of], axis=1), 95)
        rows += score_rows(name, r, known_mean(bold.ceiling[of]))
        if np.isfinite(r2["value"]):
            reachable = known_mean(bold.ceiling[of] ** 2)
            rows.append({"metric": "R2", "group": name, **r2, "floor": 0.0, "ceiling": reachable})
    rows += _chance_rows(pearson_r(predicted, measured), null, bold.groups.index)
    rows += pattern_rows(predicted, measured, trs, bold.tr_s, bold.run_of_tr)
    return [labels | {"modality": "bold"} | row for row in rows]


def groups_of(groups: Sequence[str] | pd.Series) -> dict[str, Bool[np.ndarray, " parcel"]]:
    """Parcels of all ("") and of each class."""
    of = np.asarray(groups, dtype=str)
    return {"": np.ones(len(of), bool)} | {name: of == name for name in dict.fromkeys(of)}


def score_rows(group: str, score: Mapping[str, Any], ceiling: float) -> list[Row]:
    """r, and r / ceiling where there is a ceiling to speak of."""
    score = {key: float(value) for key, value in score.items()}
    rows: list[Row] = [{"metric": "r", "group": group, **score, "ceiling": ceiling}]
    if ceiling > LEAST_CEILING:
        share = {key: value / ceiling for key, value in score.items()}
        rows.append({"metric": "r / ceiling", "group": group, **share, "ceiling": 1.0})
    return rows


def _chance_rows(r: np.ndarray, null: np.ndarray, parcels: pd.Index) -> list[Row]:
    """p and q of shifts: of the mean r, and of each parcel."""
    p = np.atleast_1d(permutation_p(r, null))
    of_mean = permutation_p(known_mean(r), known_mean(null, axis=1))
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
            r = pearson_r(bold.scored(predictions[control]), bold.mean)
            rows.append({"metric": f"r, {control}", "value": known_mean(r)})
    if "mean" in predictions and len(bold.subjects) > 1:
        rows.append(_single_subjects(predictions["mean"], bold))
    heads = {name: predictions[name] for name in bold.subjects if name in predictions}
    if len(heads) > 1:
        right, wrong = wrong_subject_scores(heads, bold.subjects, bold.tests)
        p = wrong_subject_p(heads, bold.subjects, bold.tests)
        rows.append({"metric": "r, own subject", "value": known_mean(right)})
        rows.append({"metric": "r, wrong subject", "value": known_mean(wrong)})
        rows.append({"metric": "p, own against wrong subject", "value": known_mean(p)})
    return [labels | {"modality": "bold"} | row for row in rows]


def _single_subjects(prediction: np.ndarray, bold: HeldOutBold) -> Row:
    """Mean r with each subject by themselves, and its interval over subjects."""
    r = known_mean(cross_subject_r({"": prediction}, bold.subjects, bold.tests)[0], axis=1)
    interval = block_bootstrap(lambda of: known_mean(r[of]), len(r), 1)
    row = {"metric": "r, single subjects", "value": known_mean(r)}
    return row | {"low": interval.low, "high": interval.high}


def subject_rows(
    predictions: Mapping[str, Float[np.ndarray, "tr parcel"]], bold: HeldOutBold, **labels: Any
) -> list[Row]:
    """r and r / ceiling with each subject's own BOLD, averaged over subjects; and r of each.

    The ceiling is that of a single subject's BOLD, intervals resample blocks of time, the floor is
    the 95th percentile of the same mean when predictions are shifted along by 16 s or more. Of
    "r, one subject" the group is the subject.

    Arguments
        predictions: subject -> prediction, of every subject of ``bold``.
    """
    trs, subjects, of_groups = bold.trs, list(bold.subjects), groups_of(bold.groups)
    predicted = np.stack([bold.scored(predictions[name], name)[trs] for name in subjects])
    measured = np.stack([bold.subjects[name][trs] for name in subjects])
    ceiling = np.full(len(bold.groups), np.nan)
    if len(subjects) > 1:
        ceiling = split_half_ceiling(bold.subjects, scored_subjects=1)

    def by_group(r: np.ndarray) -> np.ndarray:
        """Means over subjects and parcels, of r (..., subject, parcel)."""
        means = [known_mean(known_mean(r[..., of], -1), -1) for of in of_groups.values()]
        return np.stack(means, axis=-1)

    def scores(index=slice(None)) -> np.ndarray:
        return by_group(_r_of_subjects(predicted[:, index], measured[:, index]))

    values, length = scores(), block_trs(len(trs), bold.tr_s)
    low, high = block_bootstrap(scores, len(trs), length, n_boot=300)
    null = [
        held_out_shift_null(predictions[name], bold.subjects[name], bold.tests, bold.tr_s)[1]
        for name in subjects
    ]
    floor = np.nanpercentile(by_group(np.stack(null, axis=1)), 95, axis=0)
    rows: list[Row] = []
    for index, (group, of) in enumerate(of_groups.items()):
        score = {"value": values[index], "low": low[index], "high": high[index]}
        rows += score_rows(group, score | {"floor": floor[index]}, known_mean(ceiling[of]))
    rows += one_subject_rows(subjects, _r_of_subjects(predicted, measured))
    return [labels | {"modality": "bold"} | row for row in rows]


def one_subject_rows(
    subjects: Sequence[str], r: Float64[np.ndarray, "subject parcel"]
) -> list[Row]:
    """The mean r of each subject, by name."""
    return [
        {"metric": "r, one subject", "group": name, "value": known_mean(of)}
        for name, of in zip(subjects, r, strict=True)
    ]


def _r_of_subjects(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """r (subject, parcel) of series (subject, TR, parcel)."""
    both = (rearrange(of, "s t p -> t (s p)") for of in (predicted, measured))
    return rearrange(pearson_r(*both), "(s p) -> s p", s=len(measured))


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
            low, high = block_bootstrap(lambda of: known_mean(r[of]), len(r), size, n_boot=300)
            rows.append({"metric": "pattern r", "value": known_mean(r), "low": low, "high": high})
    return [labels | {"modality": "bold", "group": ""} | row for row in rows]


def identification_rows(found: Identified, prefix: str = "") -> list[Row]:
    """Both scores of `subtr.metrics.identification.Identified` with floor and interval, chance and
    p beside them.

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
    of_groups = groups_of(bold.groups)
    parts = np.stack(list(of_groups.values()))
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
        for index, (name, of) in enumerate(of_groups.items()):
            row = {"metric": metric, "group": name, "value": known_mean(values[of])}
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


def lag_rows(study: Study, **labels: Any) -> list[Row]:
    """Two rows for each run: at which lag the BOLD follows the stimulus best, and how well then.

    Of all features of one number a TR that ridge regression is given, less those that went through
    an HRF already, the one counts that the BOLD follows best at its own best lag: by the root of
    the mean over parcels of squared r, negative r as 0, so that a few parcels that answer are not
    drowned by many that do not. Where this is beyond its floor, which 95 % of scans stay below if
    the feature is moved along in time, a lag more than 3 s from ``study.bold_lag_s`` gets a
    UserWarning that names the run. What stays below its floor says nothing of the lag.

    Metrics: "lag of the peak_s", beside the expected lag as its ceiling; "r at that lag", with its
    floor. ``system``, unless given: "lag scan, " and the feature. ``group``: "run 0", "run 1", ...,
    or empty for a study of one run. No rows without BOLD or features, nor of a run shorter than
    ``LEAST_RUN_S``.
    """
    features = {
        name: of[:, 0]
        for name, of in ridge_features(study).items()
        if of.shape[1] == 1 and name not in study.convolved
    }
    if not study.bold or not features:
        return []
    bold, runs, rows = study.group_mean(), np.unique(study.run_of_tr), []
    for run in runs:
        (trs,) = np.nonzero(study.run_of_tr == run)
        if len(trs) * study.clock.tr_s < LEAST_RUN_S:
            continue
        group = f"run {run}" if len(runs) > 1 else ""
        of_run = {name: of[trs] for name, of in features.items()}
        rows += [
            {"study": study.name, "modality": "bold", "group": group} | row | labels
            for row in _lag_of_run(study, group, of_run, bold[trs])
        ]
    return rows


def _lag_of_run(study: Study, group: str, features: dict, bold: np.ndarray) -> list[Row]:
    tr_s, best = study.clock.tr_s, None
    for name, feature in features.items():
        lags_s, r = lag_scan(feature, bold, tr_s, LONGEST_LAG_S)
        followed = _followed(r)
        if followed.max() > (0 if best is None else best[2].max()):
            best = (name, lags_s, followed)
    if best is None:
        return []
    name, lags_s, followed = best
    floor = _lag_floor(features[name], bold, np.rint(lags_s / tr_s).astype(int))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        peak_s = check_lag(lags_s, followed[:, None], study.bold_lag_s)
    if followed.max() > floor:
        for warning in caught:
            said = ", ".join(part for part in (study.name, group, name) if part)
            warnings.warn(f"{said}: {warning.message}", UserWarning, stacklevel=3)
    system = {"system": f"lag scan, {name}"}
    return [
        system | {"metric": "lag of the peak_s", "value": peak_s, "ceiling": study.bold_lag_s},
        system | {"metric": "r at that lag", "value": float(followed.max()), "floor": floor},
    ]


def _followed(r: Float[np.ndarray, "*lag parcel"]) -> Float64[np.ndarray, "*lag"]:
    """How well parcels follow, together; 0 where none is known."""
    return np.sqrt((np.maximum(np.nan_to_num(r), 0.0) ** 2).mean(axis=-1))


def _lag_floor(
    feature: Float[np.ndarray, " tr"],
    bold: Float[np.ndarray, "tr parcel"],
    lags: Int[np.ndarray, " lag"],
) -> float:
    """95th percentile of the best of a scan, the feature moved in time by more than is scanned."""
    n_trs = len(feature)
    followed = _followed(shifted_r(np.broadcast_to(feature[:, None], bold.shape), bold))
    shifts = np.arange(len(lags), n_trs - len(lags))
    return float(np.percentile(followed[(shifts[:, None] + lags) % n_trs].max(axis=1), 95))
