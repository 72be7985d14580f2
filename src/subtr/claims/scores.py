"""Scores and gains out of tables of results, with their intervals."""

import math

import numpy as np
import pandas as pd

from subtr.claims.claim import Scored
from subtr.claims.measurements import Measured
from subtr.result_tables import summary

# The same under two names: a network that averages, and the average itself.
_ALSO = {"averaging": ("averaging", "mean")}


def scores(results: pd.DataFrame, wanted: Scored) -> list[Measured]:
    """What the results say, one answer a study and number of floats a TR.

    Arguments
        results: tidy rows, see ``subtr.results.COLUMNS``; scores of the whole, not of groups.
        wanted: which system, metric and rival.

    Gains are those that the results hold themselves (metric "gain over <rival>" or "gain in
    <metric> over <rival>", of paired TRs). Else the rival's score is taken away, and the interval
    is as wide as both together. Rivals of sound and pictures have the same number of floats a TR;
    averaging, which keeps 0 of time by definition, may have any. Scores without an interval are
    left out, as they decide nothing.
    """
    if not len(results):
        return []
    whole = summary(results[(results["group"] == "") & (results["modality"] == wanted.modality)])
    own = whole[whole["system"].isin(wanted.systems) & (whole["metric"] == wanted.metric)]
    found = []
    for row in own.to_dict("records"):
        of = whole[whole["study"] == row["study"]]
        value, low, high = _difference(row, of, wanted)
        if math.isnan(value + low + high):
            continue
        factor = 100 if wanted.percent else 1
        floats = row["floats_per_tr"]
        size = "" if math.isnan(floats) else f", {floats:g} floats a TR"
        label = f"{row['study']}, {row['system']}{size}"
        found.append(Measured(factor * value, factor * low, factor * high, label))
    return found


def _difference(row: dict, of: pd.DataFrame, wanted: Scored) -> tuple[float, float, float]:
    ends = np.array([row["value"], row["low"], row["high"]], dtype=float)
    if wanted.over is None:
        return tuple(ends)
    names = _ALSO.get(wanted.over, (wanted.over,))
    told = [f"gain{what} over {name}" for name in names for what in ("", f" in {wanted.metric}")]
    gain = _like(row, of[(of["system"] == row["system"]) & of["metric"].isin(told)])
    any_size = wanted.modality == "bold" or wanted.over == "averaging"
    rivals = of[of["system"].isin(names) & (of["metric"] == wanted.metric)]
    rival = _like(row, rivals, any_size)
    if gain is not None:
        ends = gain
    elif rival is not None:
        ends = ends - rival[[0, 2, 1]]
    elif not (wanted.over == "averaging" and wanted.metric == "temporal preservation"):
        return (math.nan,) * 3
    if wanted.relative:
        # A share of nothing, or of less, says nothing.
        base = math.nan if rival is None or rival[0] <= 0 else rival[0]
        ends = ends / base
    return tuple(ends)


def _like(row: dict, rows: pd.DataFrame, any_size: bool = False) -> np.ndarray | None:
    """Value, low and high of the row of the same size; else, if allowed, of the only one."""
    floats = rows["floats_per_tr"]
    same = rows[(floats == row["floats_per_tr"]) | floats.isna()]
    if not len(same) and any_size and len(rows) == 1:
        same = rows
    return same.iloc[0][["value", "low", "high"]].to_numpy(float) if len(same) else None
