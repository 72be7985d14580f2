"""Summaries of tidy results over folds and seeds, and the tables that people read."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

HEADLINE = (
    ("sound", "temporal preservation"),
    ("sound", "mel correlation"),
    ("pictures", "temporal preservation"),
    ("pictures", "frame correlation"),
    ("bold", "r"),
    ("bold", "r / ceiling"),
)
_KEYS = ("study", "system", "floats_per_tr", "modality", "metric", "group")


def summary(results: pd.DataFrame, keys: Iterable[str] = _KEYS) -> pd.DataFrame:
    """One row for each combination of ``keys``: value, low, high, floor, ceiling, n_seeds.

    value: each seed's mean over its folds, then the mean over seeds. Where rows score all folds
        as one series (no ``fold``), those alone are used.
    low, high: means of the rows' own bootstrap ends; from three seeds on, widened where needed so
        that every seed's value lies inside.
    floor, ceiling: means of the rows'. NaN throughout where no row has a number.

    Rows of a system with a single known floats_per_tr count as having that.
    """
    keys, numbers = list(keys), ["value", "low", "high", "floor", "ceiling"]
    results = results.copy()
    known = results.groupby(["study", "system"])["floats_per_tr"]
    single = known.transform("nunique") == 1
    results.loc[single, "floats_per_tr"] = known.transform("first")[single]
    rows = []
    for key, part in results.groupby(keys, dropna=False, sort=False):
        if part["fold"].isna().any():
            part = part[part["fold"].isna()]
        by_seed = part.groupby("seed", dropna=False)[numbers].mean()
        row = dict(zip(keys, key, strict=True)) | by_seed.mean().to_dict()
        if len(by_seed) >= 3:
            row["low"] = np.fmin(row["low"], by_seed["value"].min())
            row["high"] = np.fmax(row["high"], by_seed["value"].max())
        rows.append(row | {"n_seeds": len(by_seed)})
    return pd.DataFrame(rows, columns=[*keys, *numbers, "n_seeds"])


def results_table(results: pd.DataFrame) -> pd.DataFrame:
    """The table that ``make run`` prints: a row a system, a column a headline score.

    Cells are text, such as "0.82 [0.79, 0.84]": the value and interval of `summary`, scores of the
    whole only (no ``group``). Scores that no system has are left out. Where rows give them, the
    floor is the first row and the ceiling the last. Several studies are told apart in the index.
    """
    whole = summary(results[results["group"] == ""])
    columns = {}
    for modality, metric in HEADLINE:
        rows = whole[(whole["modality"] == modality) & (whole["metric"] == metric)]
        if rows["value"].notna().any():
            columns["BOLD" if modality == "bold" else modality, metric] = rows
    table = _cells(columns)
    table.columns = pd.MultiIndex.from_tuples(columns or [("", "")])[: len(columns)]
    return table


def group_table(
    results: pd.DataFrame, metric: str = "r / ceiling", modality: str = "bold"
) -> pd.DataFrame:
    """One score by group (parcel, region or tuning class): systems by groups, cells of text.

    Cells, floor and ceiling are as in `results_table`.
    """
    chosen = (results["modality"] == modality) & (results["metric"] == metric)
    rows = summary(results[chosen & (results["group"] != "")])
    groups = rows["group"].unique()
    return _cells({group: rows[rows["group"] == group] for group in groups})


def _cells(columns: dict[Any, pd.DataFrame]) -> pd.DataFrame:
    """Text cells of summaries, systems down, ``columns`` across, between floor and ceiling."""
    cells: dict[tuple, dict] = {}
    for column, rows in columns.items():
        for row in rows.to_dict("records"):
            floats = "" if np.isnan(row["floats_per_tr"]) else f"{row['floats_per_tr']:g}"
            key = (row["study"], 1, row["system"], floats)
            cells.setdefault(key, {})[column] = _text(row["value"], row["low"], row["high"])
        for place, end in ((0, "floor"), (2, "ceiling")):
            for study, values in rows.groupby("study")[end]:
                if values.notna().any():
                    cells.setdefault((study, place, end, ""), {})[column] = _text(values.mean())
    systems = list(dict.fromkeys(key[2] for key in cells))
    keys = sorted(cells, key=lambda key: (key[0], key[1], systems.index(key[2])))
    index = [(study, system, floats) for study, _, system, floats in keys]
    table = pd.DataFrame(
        [[cells[key].get(column, "") for column in columns] for key in keys],
        index=pd.MultiIndex.from_tuples(index or [("",) * 3], names=_INDEX)[: len(keys)],
        columns=list(columns),
    )
    studies = table.index.unique("study")
    return table if len(studies) > 1 else table.droplevel("study")


_INDEX = ("study", "system", "floats per TR")


def _text(value: float, low: float = np.nan, high: float = np.nan) -> str:
    if np.isnan(value):
        return ""
    interval = "" if np.isnan(low) or np.isnan(high) else f" [{low:z.2f}, {high:z.2f}]"
    return f"{value:z.2f}{interval}"
