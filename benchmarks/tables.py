"""Rows of the benchmarks become tables: written with the code and command they come from."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from subtr.experiments.results import COLUMNS, block_trs, read_table, summary, write_results
from subtr.metrics.inference import block_bootstrap
from subtr.metrics.temporal import within_tr_sums
from subtr.params import SubtrError, whole_file

Row = dict[str, Any]
# What tells the rows of a summarised table apart.
KEYS = ["study", "system", "floats_per_tr", "modality", "metric", "group"]


class NotMeasured(SubtrError):  # noqa: N818
    """Data or a program that a benchmark needs are missing; the message says how to get them."""


def named(table: str, rows: Iterable[Row]) -> list[Row]:
    """Rows that belong to another table than the one that is called as their benchmark."""
    return [{"table": table} | row for row in rows]


def by_table(rows: Iterable[Row], default: str) -> dict[str, list[Row]]:
    """Table -> its rows, without the column that names it."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        columns = dict(row)
        found.setdefault(columns.pop("table", default), []).append(columns)
    return found


def write_table(
    file: Path, rows: list[Row], scores: Path, git: str, command: str, part: bool = False
) -> tuple[pd.DataFrame, Path]:
    """Writes one table, with columns ``git`` and ``command``; gives it, and where it is.

    Rows of a results table (see `subtr.experiments.results.COLUMNS`) are kept one by one in
    ``scores``, and stand in the table as means over seeds with their intervals. Others stand there
    as they are.

    Arguments
        part: only part of the benchmark was run. Rows that it did not measure stay in a summarised
            table; another table that is there stays as it is, and the part is written beside
            ``scores``.
    """
    table = pd.DataFrame(rows)
    is_results = set(table.columns) <= set(COLUMNS)
    if is_results:
        write_results(scores, [row | {"git": git} for row in rows])
        table = summary(read_table(scores))
    table = table.assign(git=git, command=command)
    if part and file.exists():
        if is_results:
            table = pd.concat([_not_measured_again(file, table), table], ignore_index=True)
        else:
            file = scores.with_name(file.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as place:
        table.to_csv(place, index=False, float_format="%.6g")
    return table, file


def _not_measured_again(file: Path, table: pd.DataFrame) -> pd.DataFrame:
    texts = {"system": str, "study": str, "modality": str, "metric": str, "group": str}
    kept = pd.read_csv(file, dtype=texts).fillna(dict.fromkeys(texts, ""))

    def keys(of: pd.DataFrame) -> pd.Series:
        floats = of["floats_per_tr"].astype(float).map("{:g}".format)
        return of.assign(floats_per_tr=floats)[KEYS].agg("\n".join, axis=1)

    return kept[~keys(kept).isin(keys(table))]


def published(file: Path) -> pd.DataFrame:
    """A summarised table as rows of results, from which `subtr.experiments.results.summary` gives
    it.

    Each row stands there as often as there were seeds; empty where there is no such file.
    """
    if not file.exists():
        return pd.DataFrame()
    texts = ["study", "system", "modality", "metric", "group"]
    table = pd.read_csv(file, dtype=dict.fromkeys(texts, str)).fillna(dict.fromkeys(texts, ""))
    rows = table.loc[table.index.repeat(table["n_seeds"].clip(lower=1))]
    seeds = rows.groupby(level=0).cumcount()
    return rows.assign(seed=seeds, fold=np.nan).drop(columns="n_seeds").reset_index(drop=True)


def preservation_gain(original, found, baseline, tr_s: float) -> Row:
    """Value and interval of what a system keeps more than its baseline of the same TRs."""
    ours, theirs = within_tr_sums(original, found), within_tr_sums(original, baseline)

    def gain(trs=None):
        return ours.score(trs) - theirs.score(trs)

    n_trs = len(original)
    low, high = block_bootstrap(gain, n_trs, block_trs(n_trs, tr_s))
    return {"value": gain(), "low": low, "high": high, "floor": 0.0}


def share(counts: np.ndarray) -> Callable[[np.ndarray], float]:
    """TRs -> how many of what they count was kept: columns are what was kept, and all of it."""

    def of(trs):
        kept, all_of_them = counts[trs].sum(axis=0)
        return kept / all_of_them if all_of_them else np.nan

    return of
