"""A user's own BOLD: a folder with one array (TR, parcel) a subject."""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from subtr.params import StudyError

PARCELS_FILE = "parcels.csv"


def read_bold_folder(
    folder: Path,
) -> tuple[dict[str, Float[np.ndarray, "_ _"]], pd.DataFrame]:
    """BOLD of each subject, and the table of parcels.

    Floating-point ``.npy`` are memory-mapped, so that there may be more of them than memory.

    Arguments
        folder: holds ``<subject>.npy``, ``.csv`` or ``.tsv``, rows TRs and columns parcels; a
            header of names is optional, "n/a" marks a missing value. ``parcels.csv``, if there,
            has the parcels' names in its first column and a column ``tuning``, their class.

    Returns
        subject -> (TR, parcel) in the files' unit, and the table, index names, column tuning.

    Raises
        StudyError: no folder, no arrays, or one that is not numbers (TR, parcel).
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise StudyError(f"bold = {str(folder)!r}: no such folder; expected one of <subject>.npy.")
    files = [
        file
        for file in sorted(folder.iterdir())
        if file.suffix in (".npy", ".csv", ".tsv") and file.name != PARCELS_FILE
    ]
    if not files:
        raise StudyError(f"{folder} holds no .npy, .csv or .tsv: expected one a subject.")
    bold, names, named_by = {}, None, None
    for file in files:
        if file.stem in bold:
            raise StudyError(f"{folder} has two files of subject {file.stem}: keep one.")
        bold[file.stem], own = _read(file)
        if names and own and own != names:
            raise StudyError(
                f"{file} names other parcels than {named_by.name} ({', '.join(own[:4])}, ... "
                f"against {', '.join(names[:4])}, ...): expected the same, in the same order."
            )
        if own and not names:
            names, named_by = own, file
    if (folder / PARCELS_FILE).exists():
        return bold, _read_parcels(folder / PARCELS_FILE, names)
    n_parcels = next(iter(bold.values())).shape[1]
    names = names or [f"parcel {number + 1}" for number in range(n_parcels)]
    return bold, pd.DataFrame({"tuning": "all"}, index=names)


def _read(file: Path) -> tuple[np.ndarray, list[str] | None]:
    """Values (TR, parcel) and the header's names, if there is a header."""
    try:
        if file.suffix == ".npy":
            # It stays on disk until it is used, a subject at a time.
            values, names = np.load(file, mmap_mode="r", allow_pickle=False), None
        else:
            separator = "," if file.suffix == ".csv" else "\t"
            table = pd.read_csv(file, sep=separator, header=None, dtype=str)
            header = pd.to_numeric(table.iloc[0], errors="coerce").isna() & table.iloc[0].notna()
            names = table.iloc[0].astype(str).tolist() if header.any() else None
            values = table.iloc[1 if names else 0 :].astype(np.float64).to_numpy()
        if not np.issubdtype(values.dtype, np.floating):
            values = np.asarray(values, np.float64)
    except (OSError, ValueError, TypeError, EOFError, pd.errors.ParserError) as error:
        raise StudyError(
            f"{file} cannot be read: expected an array of numbers, rows TRs, columns parcels "
            f"({error})."
        ) from error
    if values.ndim != 2 or 0 in values.shape:
        raise StudyError(
            f"{file} has shape {values.shape}: expected (TR, parcel), a column for each parcel."
        )
    return values, names


def _read_parcels(file: Path, names: list[str] | None) -> pd.DataFrame:
    try:
        table = pd.read_csv(file, index_col=0)
    except (OSError, ValueError) as error:
        raise StudyError(f"{file} is no table: {error}") from error
    if "tuning" not in table:
        found = ", ".join(map(str, table.columns)) or "none"
        raise StudyError(f"{file} has no column tuning (found: {found}): name each parcel's class.")
    table.index = table.index.astype(str)
    if names and names != table.index.tolist():
        raise StudyError(
            f"{file} names other parcels than the headers of the BOLD ({', '.join(names[:6])}, "
            "...): expected the same, in the same order."
        )
    return table
