"""Tidy results: one CSV a system and seed, one row a score."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

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
            "`python -m subtr.run --study <name> --params <set>`."
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
