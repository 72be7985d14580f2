"""Scores and gains out of planted tables of results."""

import math

import pytest
from planted_results import row, table

from subtr.experiments.claims import Scored, scores


@pytest.mark.parametrize(
    ("wanted", "measured"),
    [
        # The gain that the results hold is of paired TRs, so it is taken before a difference.
        ({"over": "PCA"}, (1.1, 1.0, 1.3)),
        # Both intervals at their widest.
        ({"over": "baseline"}, (10.0, 6.0, 14.0)),
        ({"over": "averaging"}, (80.0, 78.0, 82.0)),
        ({}, (80.0, 78.0, 82.0)),
        ({"percent": False}, (0.8, 0.78, 0.82)),
        ({"over": "baseline", "relative": True}, (100 / 7, 60 / 7, 140 / 7)),
    ],
)
def test_planted_scores_are_found_with_their_interval(wanted, measured):
    gain = row("ours", 0.011, metric="gain over PCA", low=0.010, high=0.013)
    planted = table(row("ours", 0.8), row("PCA", 0.7), row("baseline", 0.7), gain)
    (found,) = scores(planted, Scored(systems=["other", "ours"], **wanted))
    assert (found.value, found.low, found.high) == pytest.approx(measured)
    assert found.of == "s, ours, 64 floats a TR"


def test_sizes_studies_and_modalities_stay_apart():
    planted = table(
        row("ours", 0.8),
        row("ours", 0.9, floats_per_tr=512),
        row("PCA", 0.5, floats_per_tr=512),
        row("ours", 0.3, study="t"),
        row("ours", 0.1, modality="pictures"),
        row("ours", 0.2, group="speech"),
    )
    found = scores(planted, Scored(systems=["ours"], over="PCA"))
    assert [(one.of, round(one.value)) for one in found] == [("s, ours, 512 floats a TR", 40)]
    found = scores(planted, Scored(systems=["ours"]))
    assert sorted(round(one.value) for one in found) == [30, 80, 90]


def test_gains_of_bold_are_found_under_their_own_name():
    bold = {"modality": "bold", "metric": "r", "floats_per_tr": 32}
    gain = bold | {"metric": "gain in r over averaging", "low": -0.05, "high": 0.12}
    planted = table(
        row("ours", 0.4, **bold), row("averaging", 0.3, **bold), row("ours", 0.1, **gain)
    )
    wanted = {"systems": ["ours"], "metric": "r", "modality": "bold", "over": "averaging"}
    (found,) = scores(planted, Scored(**wanted, relative=True))
    assert (found.value, found.low, found.high) == pytest.approx((100 / 3, -50 / 3, 40))


@pytest.mark.parametrize(
    "planted",
    [
        table(),
        table(row("ours", 0.8, low=math.nan, high=math.nan)),
        table(row("ours", 0.8), row("baseline", 0.0)),  # a share of nothing
        table(row("ours", 0.8)),
    ],
)
def test_what_decides_nothing_is_left_out(planted):
    assert scores(planted, Scored(systems=["ours"], over="baseline", relative=True)) == []
