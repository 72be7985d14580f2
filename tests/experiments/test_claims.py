"""Verdicts of planted measurements and scores; every claim is answered, and packaged."""

import tomllib
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_results import row, table

from subtr.experiments.claim_sizes import Setting
from subtr.experiments.claims import (
    COLUMNS,
    FILE,
    MEASUREMENTS,
    RULE,
    Claim,
    Measured,
    claims_table,
    main,
    read_claims,
    styled_claims,
    verdict,
)
from subtr.experiments.results import write_results
from subtr.params import SettingsError

SMALL = Setting(height=9, width=16, rounds=0)
finite = st.floats(-1e6, 1e6)


def claim(low=None, high=None, sense="between", **answer):
    answer = answer or {"measurement": "multiscale_parameters"}
    return Claim(section="1", claim="c", low=low, high=high, sense=sense, **answer)


def test_every_measurement_answers_a_claim_and_every_claim_is_answered():
    claims = read_claims()
    assert {one.measurement for one in claims} - {None} == set(MEASUREMENTS)
    for one in claims:
        answers = (one.measurement, one.scored, one.reason)
        assert sum(answer is not None for answer in answers) == 1, one.claim
        assert one.reason is None or len(one.reason) > 10, one.claim
    assert len({(one.section, one.claim) for one in claims}) == len(claims)


def test_the_reports_sections_are_all_there():
    sections = {part for one in read_claims() for part in one.section.split(", ")}
    wanted = {f"1.{n}" for n in range(1, 6)} | {f"5.{n}" for n in (1, 2, 3)}
    wanted |= {f"6.{n}" for n in range(1, 5)} | {"7.1", "7.2", "7.3", "9", "12"}
    assert wanted <= sections


def test_the_claims_are_packaged():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert FILE.name in project["tool"]["setuptools"]["package-data"]["subtr.experiments"]


@pytest.mark.parametrize(
    ("bounds", "interval", "said"),
    [
        ({"low": 10, "high": 20}, (12, 15), "holds"),
        ({"low": 10, "high": 20}, (10, 20), "holds"),
        ({"low": 10, "high": 20}, (21, 30), "does not hold"),
        ({"low": 10, "high": 20}, (1, 9), "does not hold"),
        ({"low": 10, "high": 20}, (9, 11), "undecided"),
        ({"low": 10, "high": 20}, (1, 100), "undecided"),
        ({"low": 720, "high": 720}, (790, 790), "holds"),  # rounded
        ({"low": 720, "high": 720}, (1411, 1411), "does not hold"),
        ({"low": -10, "high": -10}, (-10.9, -9.1), "holds"),
        ({"low": 0, "high": 0}, (0, 0), "holds"),
        ({"low": 50, "high": 70, "sense": "at least"}, (80, 90), "holds"),
        ({"low": 50, "high": 70, "sense": "at least"}, (40, 49), "does not hold"),
        ({"low": 50, "high": 70, "sense": "at least"}, (49, 60), "undecided"),
        ({"low": 2, "high": 5, "sense": "at most"}, (0, 1), "holds"),
        ({"low": 2, "high": 5, "sense": "at most"}, (6, 7), "does not hold"),
        ({"high": -10, "sense": "at most"}, (-14, -14), "holds"),
        ({"high": 1, "sense": "at most"}, (1.05, 1.05), "does not hold"),  # nothing is rounded here
    ],
)
def test_planted_measurements_give_planted_verdicts(bounds, interval, said):
    low, high = map(float, interval)
    assert verdict(claim(**bounds), Measured((low + high) / 2, low, high)) == said


@given(ends=st.lists(finite, min_size=4, max_size=4))
def test_a_verdict_is_where_the_interval_lies(ends):
    claimed, measured = sorted(ends[:2]), sorted(ends[2:])
    given_claim = claim(*claimed)
    low, high = given_claim.bounds()
    said = verdict(given_claim, Measured(measured[0], *measured))
    inside = [low <= end <= high for end in measured]
    assert (said == "holds") == all(inside)
    if said == "does not hold":
        assert not any(inside)


def test_planted_results_reach_the_table():
    planted = table(
        row("tier1", 0.9),
        row("tier1, no encoder", 0.89),
        row("tier1", 0.001, 0.0005, metric="gain over no encoder"),
    )
    shown = claims_table(planted, SMALL).set_index("claim")
    assert tuple(shown.reset_index()[list(COLUMNS)].columns) == COLUMNS
    kept = shown.loc["tier 1 improves within-TR R²"]
    assert (kept["claimed"], kept["measured"], kept["verdict"]) == (
        "50–70 % kept",
        "90 [88, 92] % kept",
        "holds",
    )
    assert (
        shown.loc["multi-scale convolutions improve reconstruction", "verdict"] == "does not hold"
    )
    assert shown.loc["learned aggregation improves reconstruction", "verdict"] == "holds"
    hierarchy = shown.loc["hierarchy improves within-TR R²", "verdict"]
    assert hierarchy.startswith("not measured: no within-TR R² over averaging of hierarchi")
    whole = shown.loc["the whole multi-scale module"]
    assert (whole["claimed"], whole["measured"], whole["verdict"]) == (
        "720 k parameters",
        "1.411 M parameters",
        "does not hold",
    )
    assert shown.loc["fewer than a million parameters", "claimed"] == "≤ 1 M parameters"
    assert shown.loc["step with tier 1", "verdict"] == "not measured: times were left out"
    assert "top-5" in shown.loc["93.8 % accuracy on Kinetics-400", "verdict"]


def test_a_notebook_sees_the_rule_and_every_claim():
    shown = styled_claims(None, SMALL).to_html()
    assert RULE.split(".")[0] in shown
    assert all(one.section in shown for one in read_claims())
    assert (
        shown.count("does not hold</td>")
        == (claims_table(None, SMALL)["verdict"] == "does not hold").sum()
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"measurement": "multiscale_paramters"}, "did you mean 'multiscale_parameters'"),
        ({"measurement": "tier1_parameters", "reason": "why not"}, "expected one of measurement"),
        ({"measurement": None}, "expected one of measurement"),
        ({"low": None, "high": None}, "nothing is claimed"),
        ({"low": 3, "high": 2}, "low = 3.0 is more than high = 2.0"),
    ],
)
def test_a_claim_that_cannot_be_decided_is_refused(tmp_path, changed, message):
    one = {"section": "1", "claim": "c", "low": 1, "high": 2, "measurement": "tier1_parameters"}
    lines = [
        f"{key}: {'null' if value is None else repr(value)}"
        for key, value in (one | changed).items()
    ]
    file = tmp_path / "claims.yaml"
    file.write_text("claims:\n  - {" + ", ".join(lines) + "}\n")
    with pytest.raises(SettingsError, match=f"(?i){message}"):
        read_claims(file)


def test_the_command_writes_what_it_prints(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("subtr.experiments.claims.validate", lambda *_: SMALL)
    write_results(tmp_path / "results" / "scores.csv", [row("tier1", 0.9)])
    out = tmp_path / "new" / "claims.csv"
    given = ["--results", str(tmp_path / "results"), "--rounds", "0", "--out", str(out)]
    assert main(given) == 0
    written, printed = pd.read_csv(out, keep_default_na=False), capsys.readouterr().out
    assert tuple(written.columns) == COLUMNS
    n_held = (written["verdict"] == "holds").sum()
    assert f"holds {n_held}" in printed
    assert "90 [88, 92] % kept" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--device", "nowhere"], "device = 'nowhere'"), (["--rounds", "-1"], "rounds = -1")],
)
def test_wrong_options_stop_the_command(tmp_path, capsys, options, message):
    assert main([*options, "--results", "--out", str(tmp_path / "claims.csv")]) == 2
    assert message in capsys.readouterr().err
