import pandas as pd
import pytest

from subtr.experiments.criteria import Criterion, criteria_table, read_criteria, verdict
from subtr.experiments.results import COLUMNS
from subtr.judges.judge import JudgeMissing


def results(*rows):
    whole = {"study": "film", "seed": 0, "modality": "pictures", "group": ""}
    table = pd.DataFrame([whole | row for row in rows], columns=list(COLUMNS))
    return table.astype({name: float for name in ("value", "low", "high", "floor", "ceiling")})


def score(system, value, low=None, high=None, floats=None, **more):
    row = {"system": system, "value": value, "low": low, "high": high, "floats_per_tr": floats}
    return {"metric": "frame correlation"} | row | more


def row_of(table, criterion):
    return table[table["criterion"] == criterion].iloc[0]


@pytest.mark.parametrize(
    ("value", "low", "said"),
    [
        (0.97, 0.96, "target"),
        (0.96, 0.93, "minimum"),
        (0.91, 0.89, "perhaps minimum"),
        (0.85, 0.80, "not reached"),
    ],
)
def test_a_level_is_reached_when_the_whole_interval_is_there(value, low, said):
    rows = [score("tier1", value, low, 0.99, 64), score("mean", 0.5)]
    row = row_of(criteria_table(results(*rows), ["tier1"]), "frame correlation")
    assert row["verdict"] == said
    assert row["averaging"] == "0.50"


def test_the_largest_size_is_judged_beside_pca_of_that_size():
    rows = [score("tier1", 0.92, 0.91, 0.93, 64), score("tier1", 0.97, 0.96, 0.98, 512)]
    rows += [score("PCA", 0.90, floats=64), score("PCA", 0.95, floats=512)]
    row = row_of(criteria_table(results(*rows), ["tier1"]), "frame correlation")
    assert (row["floats per TR"], row["PCA"], row["measured"]) == (
        "512",
        "0.95",
        "0.97 [0.96, 0.98]",
    )


def test_the_first_system_that_was_measured_is_judged():
    rows = [score("small", 0.97, 0.96, 0.98, 64), score("tier1", 0.91, 0.90, 0.92, 64)]
    table = criteria_table(results(*rows), ["combined", "tier1", "small"])
    row = row_of(table, "frame correlation")
    assert (row["system"], row["verdict"]) == ("tier1", "minimum")


def test_without_an_interval_nothing_is_sure():
    row = row_of(criteria_table(results(score("tier1", 0.97)), ["tier1"]), "frame correlation")
    assert row["verdict"] == "perhaps target"


def test_a_judge_that_cannot_do_with_the_original_decides_nothing():
    rows = [score("tier1", 0.1, 0.0, 0.2, 64, ceiling=0.3)]
    row = row_of(criteria_table(results(*rows), ["tier1"]), "frame correlation")
    assert row["verdict"] == "undecided: the ceiling is 0.30"


def test_a_gain_is_a_share_of_what_averaging_reaches():
    bold = {"modality": "bold", "metric": "r"}
    rows = [score("tier1", 0.33, 0.315, 0.36, **bold), score("averaging", 0.30, **bold)]
    name = "voxel correlation against averaging"
    row = row_of(criteria_table(results(*rows), ["tier1"]), name)
    assert row["measured"] == "0.10 [0.05, 0.20]"
    rows[1] |= {"value": -0.1}
    row = row_of(criteria_table(results(*rows), ["tier1"]), name)
    assert row["verdict"] == "not measured: averaging predicts nothing"


def test_what_is_not_measured_says_why(monkeypatch):
    def missing(name):
        raise JudgeMissing(f"{name} is not here")

    monkeypatch.setattr("subtr.experiments.criteria.load_judge", missing)
    table = criteria_table(results(score("tier1", 0.9)), ["tier1"])
    asr = row_of(table, "intelligible speech (ASR accuracy)")
    assert asr["verdict"] == "not measured: whisper-base is not here"
    assert "people must listen" in row_of(table, "perceptual quality in listening tests")["verdict"]
    assert len(table) == len(read_criteria())
    assert table["verdict"].str.len().min() > 0


def test_time_must_not_exceed_what_is_allowed():
    allowed = Criterion(of="sound", criterion="time", metric="training time_s", most=60)
    assert verdict(allowed, 59.0, 59.0) == "minimum"
    assert verdict(allowed, 61.0, 61.0) == "not reached"


@pytest.mark.parametrize(
    "wrong",
    [
        {"metric": "r"},
        {"metric": "r", "minimum": 0.1, "reason": "none"},
        {},
        {"metric": "r", "minimum": 0.1, "judge": "whispr-base"},
    ],
)
def test_a_criterion_that_nothing_decides_is_refused(wrong):
    with pytest.raises(ValueError, match=r"expected|asked|judge"):
        Criterion(of="bold", criterion="one", **wrong)
