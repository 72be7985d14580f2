"""README's tables, and the tables of figures/ that they must agree with."""

import re
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def rows_of_table(header):
    """Cells of the Markdown table whose header begins so."""
    lines = README[README.index(header) :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def measured(study, metric):
    table = pd.read_csv(ROOT / "figures" / f"{study}.csv", keep_default_na=False)
    return table[table["metric"] == metric]


def number(text):
    return float(text.replace("−", "-").split()[0])


def interval(text):
    return [number(end) for end in re.search(r"\[(.*)\]", text)[1].split(", ")]


def whole(study, metric, of="system"):
    """Rows of the whole, by system."""
    table = measured(study, metric)
    return table[table["group"] == ""].set_index(of)


def ends(row):
    return [float(row[end]) for end in ("value", "low", "high")]


def whole_row(study, metric, system, floats=None):
    """Value and interval of the whole, of one system and size; of any size where it has none."""
    rows = measured(study, metric)
    rows = rows[(rows["group"] == "") & (rows["system"] == system)]
    if floats is not None and (rows["floats_per_tr"] != "").any():
        rows = rows[pd.to_numeric(rows["floats_per_tr"]) == float(floats)]
    return rows.iloc[0]
