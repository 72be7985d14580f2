"""Claimed beside measured, with a verdict by rule."""

import pandas as pd

from subtr.claims.claim import Claim, read_claims
from subtr.claims.configurations import Setting
from subtr.claims.measurements import REPORT, Measured, measure, why_not
from subtr.claims.scores import scores

COLUMNS = ("section", "claim", "claimed", "measured", "of", "verdict", "note")
HOLDS, FAILS, OPEN = "holds", "does not hold", "undecided"
_COUNTED = ("parameters", "weights", "scores", "multiplications")
RULE = (
    "A claim holds where the whole measured interval lies in what is claimed, does not hold where "
    "the whole interval lies outside, and is undecided between. A claim of one number allows 10 % "
    "for rounding; of what should be high or low, one side counts. 'x % better reconstruction' is "
    "read as temporal preservation gained over averaging, times 100: the share of within-TR "
    "structure that is kept, of which averaging keeps 0 by definition. Counts are exact. Increases "
    "are over a stream of equal width that averages, and FLOPs also of the report's own model at "
    "two a parameter. Memory is of AdamW in float32."
)


def claims_table(results: pd.DataFrame | None = None, setting: Setting = REPORT) -> pd.DataFrame:
    """Each claim of the report beside what was measured, in the order of the report.

    Arguments
        results: tidy rows, see ``subtr.results.COLUMNS``; none leaves claims about scores open.
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
