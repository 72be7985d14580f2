"""Cells of the measured tables of figures/, as Markdown, and the questions that they answer."""

from functools import cache
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "audio": "Audio: what is kept of time within a TR, and what is heard of it",
    "video": "Video: what is kept of motion, and what is seen of it",
    "bold": "BOLD: what time within the TR predicts",
    "judges": "Judges: the pretrained evaluators, and whether they can say no",
    "cost": "Cost: time and memory",
}
# Names of systems in the tables -> on the pages.
_LABELS = {
    "tier1": "tier 1",
    "mean": "averaging",
    "PCA fitted": "PCA, fitted",
    "tier1 fitted": "tier 1, fitted",
    "tier1_heard": "`tier1_heard`",
    "tier1_more_speech": "`tier1_more_speech`",
}
SECTIONS: dict[str, list] = {page: [] for page in PAGES}


def on(page: str, question: str, *tables: str, bench: str):
    """Puts what a function writes on a page, under a question; ``tables`` are those it reads.

    Arguments
        bench: what ``make bench WHAT=...`` measures it.
    """

    def add(write):
        SECTIONS[page].append((question, tables, bench, write))
        return write

    return add


@cache
def rows(name: str) -> pd.DataFrame:
    """The table figures/<name>.csv; what is not said of a score is "", or NaN for a number."""
    table = pd.read_csv(ROOT / "figures" / f"{name}.csv", keep_default_na=False, na_values=[""])
    for column in table.select_dtypes(exclude="number").columns:
        table[column] = table[column].fillna("").astype(str)
    for column in {"study", "group"} & set(table):
        table[column] = table[column].fillna("").astype(str)
    if "metric" in table:
        # An older name of the same measure.
        table["metric"] = table["metric"].str.replace("within-TR R²", "within-TR R²")
    return table


def score(name: str, metric: str, system: str, floats=None, group="", study=None) -> pd.Series:
    """The row of one score.

    Raises
        LookupError: there is none, or more than one.
    """
    table = rows(name)
    chosen = (table["metric"] == metric) & (table["system"] == system)
    if "group" in table:
        chosen &= table["group"] == group
    if floats is not None:
        chosen &= table["floats_per_tr"] == float(floats)
    if study is not None:
        chosen &= table["study"] == study
    if chosen.sum() != 1:
        raise LookupError(f"{name}.csv has {chosen.sum()} rows of {system}, {metric}, {floats}.")
    return table[chosen].iloc[0]


def number(value: float, digits: int = 2) -> str:
    """A number with a minus sign that is one, and none before 0."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def cell(name, metric, system, floats=None, digits=2, interval=False, **where) -> str:
    """A score as text, "" where it was not measured."""
    try:
        row = score(name, metric, system, floats, **where)
    except LookupError:
        return ""
    text = number(row["value"], digits)
    if interval and pd.notna(row["low"]):
        text += f" [{number(row['low'], digits)}, {number(row['high'], digits)}]"
    return text


def gain(name, metric, system, floats=None, digits=2, **where) -> str:
    """A difference with its interval, and whether 0 lies inside it."""
    row = score(name, metric, system, floats, **where)
    return f"{cell(name, metric, system, floats, digits, True, **where)}, {verdict(row)}"


def difference(name, metric, system, floats=None, digits=2, **where) -> str:
    """The same for a cell: bold where 0 lies outside of the interval."""
    text = cell(name, metric, system, floats, digits, True, **where)
    known = verdict(score(name, metric, system, floats, **where)) in ("above 0", "below 0")
    return f"**{text}**" if known else text


def verdict(row: pd.Series) -> str:
    """On which side of 0 an interval lies, if on any."""
    if row["low"] > 0:
        return "above 0"
    return "below 0" if row["high"] < 0 else "not distinguishable from 0"


def label(system: str) -> str:
    """The plain name of a system."""
    return _LABELS.get(system, system)


def table(header: list, lines: list[list]) -> str:
    """A Markdown table."""
    text = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in text)


def spread(values) -> str:
    """Smallest to largest."""
    return f"{number(min(values))} to {number(max(values))}"


def picture(name: str, caption: str) -> str:
    """A figure of figures/ with its caption."""
    return f"![{caption}](../../figures/{name}.png)"
