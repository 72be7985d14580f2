""""""

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field, model_validator

from subtr.experiments.results import summary
from subtr.judges import JUDGES, load_judge
from subtr.judges.judge import JudgeMissing
from subtr.params import Strict, load_params

FILE = Path(__file__).with_name("criteria.yaml")

LEVELS = ("minimum", "target", "stretch")


class Criterion(Strict):
    """One criterion and what answers it.

    ``of``: the modality that is judged. ``metric``: of the results table. ``judge``: the model that
    measures it, where one does. ``over``: the baseline whose score is taken away, the gain being a
    share of it. ``minimum``, ``target``, ``stretch``: least values of phases 1 to 3; ``most``: what
    must not be exceeded. ``reason``: why it is not measured. ``note``: what the reader of a verdict
    should know.
    """

    of: Literal["sound", "pictures", "bold", "all"]
    criterion: str
    metric: str = ""
    judge: str = ""
    over: str = ""
    minimum: float | None = None
    target: float | None = None
    stretch: float | None = None
    most: float | None = None
    reason: str = ""
    note: str = ""

    @model_validator(mode="after")
    def _can_be_decided(self):
        if bool(self.metric) == bool(self.reason):
            raise ValueError("expected one of metric and reason")
        if self.metric and not self.levels() and self.most is None:
            raise ValueError("nothing is asked for: give minimum, target, stretch or most")
        if self.judge:
            JUDGES.check(self.judge, {})
        return self

    def levels(self) -> dict[str, float]:
        """Level -> least value, of the levels that are asked for; easiest first."""
        asked = {level: getattr(self, level) for level in LEVELS}
        return {level: least for level, least in asked.items() if least is not None}


class Criteria(Strict):
    """All of a file."""

    criteria: tuple[Criterion, ...] = Field(min_length=1)


@functools.lru_cache
def read_criteria(file: Path = FILE) -> tuple[Criterion, ...]:
    """The criteria of a YAML file, checked.

    Raises
        SettingsError: no such file, a misspelt key, an unknown judge, or nothing that decides.
    """
    return load_params(Criteria, file).criteria


COLUMNS = (
    *("criterion", *LEVELS, "system", "measured", "floats per TR"),
    *("floor", "averaging", "PCA", "ceiling", "verdict", "note"),
)

BELOW = "not reached"

RULE = (
    "A level is reached where the whole interval is at least what is asked for, and perhaps where "
    "the value is but the interval reaches below, or there is none; the highest such level is "
    "named. Averaging and PCA are judged alike, PCA with as many floats a TR. The ceiling is what "
    "the judge says of the original after the vocoder, or of the original itself: where it is "
    "lower than all that is asked for, as for words where nobody speaks, the judge decides nothing."
)

_AVERAGING = ("averaging", "mean")


def criteria_table(results: pd.DataFrame, systems: Sequence[str]) -> pd.DataFrame:
    """Each criterion of the report, and what is reached of it.

    Arguments
        results: tidy rows of one study, see ``subtr.experiments.results.COLUMNS``.
        systems: the first of which that was measured is judged, at its largest size.

    Columns ``COLUMNS``, all of text; see ``RULE``. The verdict is "stretch", "target", "minimum",
    "perhaps <level>", "not reached", "undecided: why" or "not measured: why".
    """
    whole = summary(results[results["group"] == ""])
    rows = [_row(criterion, whole, systems) for criterion in read_criteria()]
    return pd.DataFrame(rows, columns=list(COLUMNS)).fillna("")


def styled_criteria(results: pd.DataFrame, systems: Sequence[str]):
    """`criteria_table` for a notebook: verdicts in colour, ``RULE`` as its caption."""
    colours = {BELOW: "#b2182b"} | {level: "#1b7837" for level in LEVELS}
    colours |= {f"perhaps {level}": "#8c6d00" for level in LEVELS}
    looks = [
        {"selector": "caption", "props": "caption-side: bottom; text-align: left"},
        {"selector": "td, th", "props": "text-align: left; vertical-align: top"},
    ]
    return (
        criteria_table(results, systems)
        .style.map(lambda text: f"color: {colours.get(text, '#666666')}", subset=["verdict"])
        .set_table_styles(looks)
        .set_caption(RULE)
        .hide(axis="index")
    )


def verdict(
    criterion: Criterion, value: float, low: float = math.nan, ceiling: float = math.nan
) -> str:
    """The highest level that is reached significantly, else perhaps, else that none is; see
    ``RULE``.
    """
    if criterion.most is not None:
        return "minimum" if value <= criterion.most else BELOW
    if ceiling < min(criterion.levels().values()):
        return f"undecided: the ceiling is {_text(ceiling)}"
    sure = [level for level, least in criterion.levels().items() if low >= least]
    perhaps = [level for level, least in criterion.levels().items() if value >= least]
    if sure:
        return sure[-1]
    return f"perhaps {perhaps[-1]}" if perhaps else BELOW


def _row(criterion: Criterion, whole: pd.DataFrame, systems: Sequence[str]) -> dict[str, str]:
    asked = {level: f"{least:g}" for level, least in criterion.levels().items()}
    if criterion.most is not None:
        asked = {"minimum": f"≤ {criterion.most:g}"}
    row = {"criterion": criterion.criterion, "note": criterion.note} | asked
    of = whole[(whole["metric"] == criterion.metric) & (whole["modality"] == criterion.of)]
    known = set(of.loc[of["value"].notna(), "system"])
    system = next((name for name in systems if name in known), None)
    if criterion.reason or system is None:
        return row | {"verdict": f"not measured: {criterion.reason or _why(criterion)}"}
    own = of[(of["system"] == system) & of["value"].notna()]
    best = own.loc[own["floats_per_tr"].fillna(0).idxmax()]
    same = of[(of["floats_per_tr"] == best["floats_per_tr"]) | of["floats_per_tr"].isna()]
    averaging, pca = _value(of, _AVERAGING), _value(same, ("PCA",))
    value, low, high = best["value"], best["low"], best["high"]
    if criterion.over:
        baseline = _value(of, (criterion.over,))
        if not baseline > 0:
            return row | {"verdict": f"not measured: {criterion.over} predicts nothing"}
        value, low, high = ((end - baseline) / baseline for end in (value, low, high))
    measured = _text(value)
    if not math.isnan(high):
        measured += f" [{_text(low)}, {_text(high)}]"
    floats = best["floats_per_tr"]
    found = {
        "system": system,
        "measured": measured,
        "floats per TR": "" if math.isnan(floats) else f"{floats:g}",
        "averaging": _text(averaging),
        "PCA": _text(pca),
        "floor": _text(best["floor"]),
        "ceiling": _text(best["ceiling"]),
    }
    # A gain is a share of what averaging reaches, the ceiling is not.
    ceiling = math.nan if criterion.over else best["ceiling"]
    return row | found | {"verdict": verdict(criterion, value, low, ceiling)}


def _why(criterion: Criterion) -> str:
    if criterion.judge:
        try:
            load_judge(criterion.judge)
        except JudgeMissing as error:
            return str(error)
    return f"no {criterion.metric} in the results"


def _value(rows: pd.DataFrame, systems: tuple[str, ...]) -> float:
    values = rows.loc[rows["system"].isin(systems), "value"].dropna()
    return float(values.max()) if len(values) else math.nan


def _text(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3g}" if abs(value) >= 10 else f"{value:z.2f}"
