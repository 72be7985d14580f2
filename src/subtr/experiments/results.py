"""Rows of results: reconstructions scored, tables written whole and read together."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from subtr.metrics.bold import known_mean
from subtr.metrics.inference import block_bootstrap
from subtr.metrics.temporal import (
    frame_correlation,
    frame_correlations,
    mel_correlation,
    motion_sums,
    within_tr_sums,
    within_tr_sums_by_band,
)
from subtr.params import SettingsError, SubtrError, git_hash, nearest, whole_file

_NUMBERS = ("floats_per_tr", "value", "low", "high", "floor", "ceiling")

_WHOLE = ("seed", "fold")

COLUMNS = (
    *("study", "system", "seed", "fold", "modality", "floats_per_tr", "metric", "group"),
    *("value", "low", "high", "floor", "ceiling", "git", "params_hash"),
)


def is_gallery(params: str | Path) -> bool:
    """Whether a parameter set is the gallery, which has a notebook to itself."""
    return Path(params).name == "gallery"


def run_folder(runs: str | Path, params: str, study: str, film: str = "") -> Path:
    """Where a run keeps its notebooks, tables, checkpoints, sounds and figures."""
    name = f"{study}-{Path(film).stem}" if film else study
    return Path(runs) / Path(params).name / name


class ResultsError(SubtrError, OSError):
    """Results cannot be read or written; the message names the place and says what to do."""


def write_results(file: Path | str, rows: Iterable[dict[str, Any]]) -> Path:
    """Writes rows of ``COLUMNS`` as a CSV, whole or not at all; says where.

    Arguments
        file: where to; one file a system and seed.
        rows: column -> value. ``fold`` is missing in a row that scores all folds as one series,
            ``group`` (parcel, region or tuning class) in a row of the whole. ``low`` and ``high``
            are the ends of the row's block-bootstrap interval. What is missing becomes NaN, or
            "" in a column of text; ``git`` becomes `git_hash`.

    Raises
        SettingsError: a column that is not in ``COLUMNS``, or text where a number belongs.
        ResultsError: the file cannot be written.
    """
    file, git, full = Path(file), git_hash(), []
    for row in rows:
        for column in row:
            if column not in COLUMNS:
                hint = nearest(str(column), list(COLUMNS))
                raise SettingsError(f"{file}: unknown column {str(column)!r}{hint}")
        full.append({"git": git} | row)
    table = _typed(pd.DataFrame(full, columns=list(COLUMNS)), file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as part:
            table.to_csv(part, index=False)
    except OSError as error:
        raise _unwritable(file, error) from error
    return file


def read_results(folder: Path | str) -> pd.DataFrame:
    """The rows of all CSVs of a folder, columns ``COLUMNS``; numbers are numbers, text is text.

    Raises
        ResultsError: no results there, or a CSV of other columns.
    """
    folder = Path(folder)
    tables = [read_table(file) for file in sorted(folder.glob("*.csv"))]
    tables = [table for table in tables if len(table)]
    if not tables:
        raise ResultsError(
            f"{folder}: no results there. Make them with `make run`, or with "
            "`python -m subtr.experiments.run --study <name> --params <set>`."
        )
    return pd.concat(tables, ignore_index=True)


def read_table(file: Path) -> pd.DataFrame:
    """The rows of one CSV, as `read_results` gives them; raises as it does."""
    # A parcel may be called "NA": only numbers can be missing.
    missing_as = {column: ["", "nan"] for column in _NUMBERS + _WHOLE}
    options = {"na_values": missing_as, "keep_default_na": False, "float_precision": "round_trip"}
    texts = {column: str for column in COLUMNS if column not in missing_as}
    table = pd.read_csv(file, dtype=texts, **options)
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise ResultsError(
            f"{file}: no results table, for column {missing[0]!r} is missing. "
            "Expected a file of write_results: remake it, or move it to another folder."
        )
    return _typed(table[list(COLUMNS)], file)


def check_writable(folder: Path | str) -> Path:
    """Makes the folder, and shows by a small file that it can be written.

    Raises
        ResultsError: it cannot; the message names the folder and the reason.
    """
    folder = Path(folder)
    probe = folder / f".probe.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def _unwritable(path: Path, error: OSError) -> ResultsError:
    return ResultsError(
        f"{path} cannot be written: {error.strerror or error}. Free space, or choose a folder "
        "that you can write to (make run RUNS=path/to/folder)."
    )


def _typed(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    table = table.copy()
    for column in COLUMNS:
        try:
            if column in _NUMBERS:
                table[column] = table[column].astype(float)
            elif column in _WHOLE:
                table[column] = table[column].astype(float).astype("Int64")
            else:
                table[column] = table[column].fillna("").astype(str)
        except (ValueError, TypeError) as error:
            raise SettingsError(
                f"{file}: column {column!r} needs numbers, or nothing: {error}."
            ) from error
    return table


HEADLINE = (
    ("sound", "within-TR R²"),
    ("sound", "mel correlation"),
    ("pictures", "within-TR R²"),
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
    """Within-TR R², whole and by modulation band, and mel correlation of held-out TRs.

    The floor of the preservation is 0, what averaging keeps; intervals resample blocks of 15 s.
    """
    n_trs, n_frames = original.shape[:2]
    frame_hz = n_frames / tr_s
    sums = {"within-TR R²": within_tr_sums(original, reconstruction)}
    by_band = within_tr_sums_by_band(original, reconstruction, frame_hz)
    sums |= {f"within-TR R² {band}": of for band, of in by_band.items()}
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
    """Within-TR R², frame correlation and agreement of motion of held-out TRs.

    The floor of the motion coherence is 0, that of a picture that stands still, whose end-point
    error is 1; less of that is better, down to 0. Motion needs two pictures a TR.
    """
    sums = within_tr_sums(original, reconstruction)
    scores = {"within-TR R²": (sums.score, 0.0, 1.0)}
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
