import pandas as pd
import pytest

from subtr.experiments.results import COLUMNS
from subtr.params import SettingsError
from subtr.viewing.scores import quality_by_floats


@pytest.fixture
def results():
    rows = [
        {"system": system, "floats_per_tr": size, "metric": metric, "value": value}
        for metric in ("stoi", "ASR accuracy")
        for system, size, value in (
            ("tier1", 128, 0.7),
            ("tier1", 64, 0.6),
            ("PCA", 64, 0.5),
            ("round trip", None, 0.9),
        )
    ]
    whole = {"study": "speech", "seed": 0, "group": "", "modality": "sound"}
    table = pd.DataFrame([whole | row for row in rows], columns=list(COLUMNS))
    return table.astype({"floats_per_tr": float, "value": float, "low": float, "high": float})


def test_a_panel_a_metric_with_sizes_in_order_and_the_ceiling_across(results):
    figure = quality_by_floats(results, ["ASR accuracy", "stoi", "pesq"])
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["ASR accuracy", "stoi"]
    axis = figure.axes[0]
    drawn = {tuple(line.get_xdata()): list(line.get_ydata()) for line in axis.get_lines()}
    assert drawn[(64, 128)] == [0.6, 0.7]
    assert [0.9, 0.9] in drawn.values()


def test_nothing_to_show_is_said(results):
    with pytest.raises(SettingsError, match="pesq"):
        quality_by_floats(results, ["pesq"])


def test_a_judge_whose_ceiling_is_no_higher_than_the_floor_is_left_out(results):
    nobody_speaks = results[results["metric"] == "ASR accuracy"].copy()
    averaged = nobody_speaks[:1].assign(system="mean", floats_per_tr=None, value=0.95)
    stoi = results[results["metric"] == "stoi"]
    figure = quality_by_floats(pd.concat([nobody_speaks, averaged, stoi]), ["ASR accuracy", "stoi"])
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["stoi"]


def test_sizes_are_named_with_their_bits(results):
    axis = quality_by_floats(results, ["stoi"]).axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["64\n1.02k", "128\n2.05k"]


def test_more_than_three_panels_stand_in_two_columns(results):
    five = pd.concat([results.assign(metric=name) for name in "abcde"])
    axes = quality_by_floats(five, list("abcde")).axes
    assert [axis.get_title(loc="left") for axis in axes] == list("abcde")
    columns = [axis.get_subplotspec().colspan.start for axis in axes]
    assert columns == [0, 1, 0, 1, 0]
