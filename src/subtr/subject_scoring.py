"""Scores of single subjects' predictions, as rows of a tidy table."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from einops import rearrange
from jaxtyping import Float, Float64

from subtr.held_out_bold import HeldOutBold
from subtr.metrics import block_bootstrap, pearson_r, split_half_ceiling, standardise_by_fold
from subtr.scoring import Row, block_trs

# What a shifted prediction must not share with the volume is the response, which is over by then.
_LEAST_SHIFT_S = 16.0


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
    trs, subjects = np.sort(np.concatenate(bold.tests)), list(bold.subjects)
    measured = np.stack([bold.subjects[name] for name in subjects])
    # Both are standardised over the same volumes, those that are not masked.
    predicted = [
        standardise_by_fold(np.where(np.isfinite(of), predictions[name], np.nan), bold.tests)
        for name, of in zip(subjects, measured, strict=True)
    ]
    predicted, measured = np.stack(predicted)[:, trs], measured[:, trs]
    ceiling = np.full(len(bold.groups), np.nan)
    if len(subjects) > 1:
        ceiling = split_half_ceiling(bold.subjects, scored_subjects=1)
    of_groups = groups_of(bold.groups)

    def by_group(r: np.ndarray) -> np.ndarray:
        """Means over subjects and parcels, of r (..., subject, parcel)."""
        return np.stack([known_mean(known_mean(r[..., of])) for of in of_groups.values()], axis=-1)

    def scores(index=slice(None)) -> np.ndarray:
        return by_group(_r(predicted[:, index], measured[:, index]))

    values, length = scores(), block_trs(len(trs), bold.tr_s)
    low, high = block_bootstrap(scores, len(trs), length, n_boot=300)
    shifted = [shifted_r(*of, bold.tr_s) for of in zip(predicted, measured, strict=True)]
    floor = np.nanpercentile(by_group(np.stack(shifted, axis=1)), 95, axis=0)
    rows: list[Row] = []
    for index, (group, of) in enumerate(of_groups.items()):
        score = {"value": values[index], "low": low[index], "high": high[index]}
        rows += score_rows(group, score | {"floor": floor[index]}, float(known_mean(ceiling[of])))
    rows += one_subject_rows(subjects, list(_r(predicted, measured)))
    return [labels | {"modality": "bold"} | row for row in rows]


def score_rows(group: str, score: Mapping[str, Any], ceiling: float) -> list[Row]:
    """r, and r / ceiling where there is a ceiling to speak of."""
    score = {key: float(value) for key, value in score.items()}
    rows: list[Row] = [{"metric": "r", "group": group, **score, "ceiling": ceiling}]
    if ceiling > 0.1:
        share = {key: value / ceiling for key, value in score.items()}
        rows.append({"metric": "r / ceiling", "group": group, **share, "ceiling": 1.0})
    return rows


def one_subject_rows(subjects: Sequence[str], r: Sequence[np.ndarray]) -> list[Row]:
    """The mean r of each subject, by name."""
    return [
        {"metric": "r, one subject", "group": name, "value": float(known_mean(of))}
        for name, of in zip(subjects, r, strict=True)
    ]


def groups_of(groups: Sequence[str] | pd.Series) -> dict[str, np.ndarray]:
    """Parcels of all ("") and of each class."""
    of = np.asarray(groups, dtype=str)
    return {"": np.ones(len(of), bool)} | {name: of == name for name in dict.fromkeys(of)}


def shifted_r(
    prediction: Float[np.ndarray, "tr parcel"],
    measured: Float[np.ndarray, "tr parcel"],
    tr_s: float | int,
) -> Float64[np.ndarray, "shift parcel"]:
    """r of a prediction moved along by every number of TRs from 16 s on, wrapped around.

    All shifts at once, by Fourier transform. Both must have mean 0 and deviation 1 in each test
    block, see ``standardise_by_fold``; what is unknown counts as the mean.
    """
    n_trs = len(measured)
    one, other = np.nan_to_num(prediction), np.nan_to_num(measured)
    spectrum = np.fft.rfft(one, axis=0).conj() * np.fft.rfft(other, axis=0)
    n_known = np.isfinite(measured).sum(axis=0).clip(1)
    least = min(math.ceil(_LEAST_SHIFT_S / tr_s), n_trs // 2)
    return np.fft.irfft(spectrum, n_trs, axis=0)[least : n_trs - least + 1] / n_known


def known_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=-1)
    return np.where(known.any(axis=-1), total / known.sum(axis=-1).clip(1), np.nan)


def _r(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """r (subject, parcel) of series (subject, TR, parcel)."""
    n_subjects = len(measured)
    both = (rearrange(of, "s t p -> t (s p)") for of in (predicted, measured))
    return rearrange(pearson_r(*both), "(s p) -> s p", s=n_subjects)
