"""The report's claims beside what was measured."""

import argparse
import functools
import math
import statistics
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field, model_validator

from subtr.experiments.claim_sizes import COUNTED, ON_GRAPHICS_CARDS, TIMES, Setting
from subtr.experiments.cost import Timing, check_steps
from subtr.experiments.results import check_writable, read_results, summary
from subtr.params import SettingsError, Strict, SubtrError, load_params, nearest, validate

REPORT = Setting()

MEASUREMENTS: dict[str, Callable] = COUNTED | TIMES


@dataclass(frozen=True)
class Measured:
    """A number with the ends of its interval, equal to it where it is exact, and what it is of."""

    value: float
    low: float
    high: float
    of: str = ""


def check_measurement(name: str) -> None:
    """Raises SettingsError where there is no measurement of that name."""
    if name not in MEASUREMENTS:
        raise SettingsError(
            f"{name!r} is no known measurement{nearest(name, sorted(MEASUREMENTS))}"
        )


@functools.lru_cache(maxsize=1024)
def measure(name: str, setting: Setting = REPORT) -> Measured | None:
    """One measurement at these sizes; None where `why_not` says why it cannot be made.

    What was measured once in a session is not measured again.

    Times are given with the least and the most of the rounds, the others are exact.

    Raises
        SettingsError: no such measurement, or no such device.
    """
    check_measurement(name)
    check_steps(setting.frames_per_tr, setting.tr_s, Timing(setting.batch, 1, setting.device))
    if name in COUNTED:
        value = float(COUNTED[name](setting))
        return Measured(value, value, value, "library")
    if why_not(name, setting):
        return None
    rounds, of = TIMES[name](setting), f"library, {_machine(setting.device)}"
    return Measured(statistics.median(rounds), min(rounds), max(rounds), of)


def why_not(name: str, setting: Setting) -> str:
    """Why a measurement cannot be made at this setting, or ""."""
    if name not in TIMES:
        return ""
    if name in ON_GRAPHICS_CARDS and torch.device(setting.device).type != "cuda":
        return "it is a claim about graphics cards; measure with --device cuda"
    return "" if setting.rounds else "times were left out"


def _machine(device: str) -> str:
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device}, {torch.get_num_threads()} threads"


FILE = Path(__file__).with_name("claims.yaml")

# A claim of a single number is taken to be rounded.
ROUNDED = 0.1


class Scored(Strict):
    """A score in tables of results that answers a claim.

    ``systems``: names that it may have there. ``over``: the baseline whose score is taken away;
    none for the score itself. ``relative``: the gain as a share of the baseline's score.
    ``percent``: times 100.
    """

    systems: tuple[str, ...] = Field(min_length=1)
    metric: str = "within-TR R²"
    modality: Literal["sound", "pictures", "bold"] = "sound"
    over: str | None = None
    relative: bool = False
    percent: bool = True


class Claim(Strict):
    """One number of the report, and what answers it.

    ``section``: of the report. ``low``, ``high``: what is claimed, ends included; equal where it is
    one number, 10 % of which is allowed for rounding. ``sense``: "between" both ends; "at least",
    where more is better, so that only ``low`` can be missed; "at most" likewise. ``measurement``: a
    name of `measurements.MEASUREMENTS`; or ``scored``; or the ``reason`` why it is not measured.
    ``note``: what the reader of a verdict should know.
    """

    section: str
    claim: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    sense: Literal["between", "at least", "at most"] = "between"
    measurement: str | None = None
    scored: Scored | None = None
    reason: str | None = None
    note: str = ""

    @model_validator(mode="after")
    def _can_be_decided(self):
        answers = [self.measurement, self.scored, self.reason]
        if sum(answer is not None for answer in answers) != 1:
            raise ValueError("expected one of measurement, scored and reason")
        if self.measurement is not None:
            check_measurement(self.measurement)
        low, high = self.bounds()
        if self.reason is None and low == -math.inf and high == math.inf:
            raise ValueError(f"nothing is claimed that could be {self.sense}: give low or high")
        if low > high:
            raise ValueError(f"low = {self.low} is more than high = {self.high}")
        return self

    def bounds(self) -> tuple[float, float]:
        """The least and the most with which the claim holds."""
        low = -math.inf if self.low is None or self.sense == "at most" else self.low
        high = math.inf if self.high is None or self.sense == "at least" else self.high
        if low == high:
            low, high = low - ROUNDED * abs(low), high + ROUNDED * abs(high)
        return low, high


class Claims(Strict):
    """All of a file."""

    claims: tuple[Claim, ...] = Field(min_length=1)


@functools.lru_cache
def read_claims(file: Path = FILE) -> tuple[Claim, ...]:
    """The claims of a YAML file, checked.

    Raises
        SettingsError: no such file, a misspelt key, an unknown measurement, or a claim that nothing
            answers; the message names the place.
    """
    return load_params(Claims, file).claims


# The same under two names: a network that averages, and the average itself.
_ALSO = {"averaging": ("averaging", "mean")}


def scores(results: pd.DataFrame, wanted: Scored) -> list[Measured]:
    """What the results say, one answer a study and number of floats a TR.

    Arguments
        results: tidy rows, see ``subtr.experiments.results.COLUMNS``; scores of the whole, not of
            groups.
        wanted: which system, metric and baseline.

    Gains are those that the results hold themselves (metric "gain over <baseline>" or "gain in
    <metric> over <baseline>", of paired TRs). Else the baseline's score is taken away, and the
    interval is as wide as both together. Baselines of sound and pictures have the same number of
    floats a TR; averaging, which keeps 0 of time by definition, may have any. Scores without an
    interval are left out, as they decide nothing.
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
    baselines = of[of["system"].isin(names) & (of["metric"] == wanted.metric)]
    baseline = _like(row, baselines, any_size)
    if gain is not None:
        ends = gain
    elif baseline is not None:
        ends = ends - baseline[[0, 2, 1]]
    elif not (wanted.over == "averaging" and wanted.metric == "within-TR R²"):
        return (math.nan,) * 3
    if wanted.relative:
        # A share of nothing, or of less, says nothing.
        base = math.nan if baseline is None or baseline[0] <= 0 else baseline[0]
        ends = ends / base
    return tuple(ends)


def _like(row: dict, rows: pd.DataFrame, any_size: bool = False) -> np.ndarray | None:
    """Value, low and high of the row of the same size; else, if allowed, of the only one."""
    floats = rows["floats_per_tr"]
    same = rows[(floats == row["floats_per_tr"]) | floats.isna()]
    if not len(same) and any_size and len(rows) == 1:
        same = rows
    return same.iloc[0][["value", "low", "high"]].to_numpy(float) if len(same) else None


COLUMNS = ("section", "claim", "claimed", "measured", "of", "verdict", "note")

HOLDS, FAILS, OPEN = "holds", "does not hold", "undecided"

_COUNTED = ("parameters", "weights", "scores", "multiplications")

RULE = (
    "A claim holds where the whole measured interval lies in what is claimed, does not hold where "
    "the whole interval lies outside, and is undecided between. A claim of one number allows 10 % "
    "for rounding; of what should be high or low, one side counts. 'x % better reconstruction' is "
    "read as within-TR R² gained over averaging, times 100: the share of within-TR "
    "structure that is kept, of which averaging keeps 0 by definition. Counts are exact. Increases "
    "are over a stream of equal width that averages, and FLOPs also of the report's own model at "
    "two a parameter. Memory is of AdamW in float32."
)


def claims_table(results: pd.DataFrame | None = None, setting: Setting = REPORT) -> pd.DataFrame:
    """Each claim of the report beside what was measured, in the order of the report.

    Arguments
        results: tidy rows, see ``subtr.experiments.results.COLUMNS``; none leaves claims about
            scores open.
        setting: sizes, rounds and device of what the library measures, once a session. The report's
            sizes take a minute or two, nearly all of it for times of pictures; ``rounds=0`` times
            nothing.

    Columns ``COLUMNS``, all of text: ``measured`` with its interval unless it is exact, ``of`` what
    it was measured on, ``verdict`` "holds", "does not hold", "undecided", or "not measured: why".
    A claim about scores has a row for each study and number of floats a TR. See ``RULE``.

    Raises
        SettingsError: no such device.
    """
    results = pd.DataFrame() if results is None else results
    rows = []
    for claim in read_claims():
        found, why = _answers(claim, results, setting)
        if found:
            rows += [_row(claim, one, verdict(claim, one)) for one in found]
        else:
            rows.append(_row(claim, None, f"not measured: {why}"))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def styled_claims(results: pd.DataFrame | None = None, setting: Setting = REPORT):
    """`claims_table` for a notebook: verdicts in colour, ``RULE`` as its caption.

    Raises
        SettingsError: no such device.
    """
    colours = {HOLDS: "#1b7837", FAILS: "#b2182b", OPEN: "#8c6d00"}
    looks = [
        {"selector": "caption", "props": "caption-side: bottom; text-align: left"},
        {"selector": "td", "props": "text-align: left; vertical-align: top"},
        {"selector": "th", "props": "text-align: left"},
    ]
    return (
        claims_table(results, setting)
        .style.map(lambda text: f"color: {colours.get(text, '#666666')}", subset=["verdict"])
        .set_table_styles(looks)
        .set_caption(RULE)
        .hide(axis="index")
    )


def verdict(claim: Claim, measured: Measured) -> str:
    """ "holds", "does not hold" or "undecided", see ``RULE``."""
    low, high = claim.bounds()
    if low <= measured.low and measured.high <= high:
        return HOLDS
    return FAILS if measured.high < low or measured.low > high else OPEN


def _answers(claim: Claim, results: pd.DataFrame, setting: Setting) -> tuple[list[Measured], str]:
    if claim.reason is not None:
        return [], claim.reason
    if claim.measurement is not None:
        measured = measure(claim.measurement, setting)
        return [measured] if measured else [], why_not(claim.measurement, setting)
    wanted = claim.scored
    over = f" over {wanted.over}" if wanted.over else ""
    why = (
        f"no {wanted.metric}{over} of {' or '.join(wanted.systems)}, with interval, in the results"
    )
    return scores(results, wanted), why


def _row(claim: Claim, measured: Measured | None, said: str) -> dict[str, str]:
    text = ""
    if measured:
        value, low, high = (
            _number(end, claim.unit) for end in (measured.value, measured.low, measured.high)
        )
        text = value if measured.low == measured.high else f"{value} [{low}, {high}]"
    return {
        "section": claim.section,
        "claim": claim.claim,
        "claimed": _with_unit(_claimed(claim), claim.unit),
        "measured": _with_unit(text, claim.unit),
        "of": measured.of if measured else "",
        "verdict": said,
        "note": claim.note,
    }


def _claimed(claim: Claim) -> str:
    ends = [_number(end, claim.unit) for end in (claim.low, claim.high) if end is not None]
    if len(ends) == 1:
        return f"{'≤' if claim.low is None else '≥'} {ends[0]}"
    return "–".join(dict.fromkeys(ends))


def _with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}".strip() if text else ""


def _number(value: float, unit: str) -> str:
    """Three digits or four; what is counted in thousands and millions."""
    size = abs(value)
    if unit in _COUNTED and size >= 1e6:
        return f"{value / 1e6:.4g} M"
    if unit in _COUNTED and size >= 1e4:
        return f"{value / 1e3:.4g} k"
    if size >= 100:
        return f"{value:.0f}"
    return f"{value:.2g}" if 0 < size < 0.1 else f"{value:.3g}"


def main(arguments: list[str] | None = None) -> int:
    """Measures, reads results, writes a CSV, prints the table and how often each verdict."""
    parser = argparse.ArgumentParser(prog="python -m subtr.experiments.claims", description=__doc__)
    parser.add_argument(
        "--results", nargs="*", metavar="FOLDER", help="of results; runs/bench/* by default"
    )
    parser.add_argument("--out", default="runs/claims/claims.csv", help="the CSV")
    parser.add_argument("--rounds", type=int, default=3, help="of timing; 0 times nothing")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    given = parser.parse_args(arguments)
    folders = given.results
    if folders is None:
        folders = sorted(file.parent for file in Path("runs/bench").glob("*/scores.csv"))
    out = Path(given.out)
    try:
        options = {"rounds": given.rounds, "device": given.device}
        setting = validate(Setting, options, "python -m subtr.experiments.claims")
        check_writable(out.parent)
        tables = [read_results(folder) for folder in folders]
        table = claims_table(pd.concat(tables, ignore_index=True) if tables else None, setting)
    except SubtrError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    table.to_csv(out, index=False)
    print(table.drop(columns="note").to_string(index=False, max_colwidth=60))
    said = table["verdict"].str.partition(":")[0].value_counts()
    print("\n" + "   ".join(f"{name} {number}" for name, number in said.items()))
    print("\n" + textwrap.fill(RULE, 100))
    print(f"\nResults of {', '.join(map(str, folders)) or 'nothing'}\nTable    {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
