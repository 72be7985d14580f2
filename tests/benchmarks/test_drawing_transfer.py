import io
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from benchmarks.drawing import transfer_by_training
from subtr.metrics.temporal import averaging_gain
from subtr.params import SettingsError

RATES_HZ = (0.5, 1.0, 2.0, 4.0)


@pytest.fixture(scope="module")
def transfers():
    """Every line at a height of its own, rates out of order."""
    rows = []
    cases = (("mean", "random"), ("parcel_kernels", "random"), ("linear", "random"))
    for index, (name, start) in enumerate((*cases, ("linear", "pca"), ("conv", "random"))):
        for shift, when in ((0.0, "after"), (0.5, "before")):
            for rate_hz in reversed(RATES_HZ):
                row = {"aggregator": name, "start": start, "when": when, "rate_hz": rate_hz}
                value = index / 10 + shift + rate_hz / 100
                rows.append(row | {"gain": 1 - value, "in_phase_gain": value})
    return pd.DataFrame(rows)


def lines(axis):
    return {line.get_label(): line for line in axis.get_lines()}


@pytest.mark.parametrize("column", ["gain", "in_phase_gain"])
def test_each_panel_draws_what_its_aggregator_did_before_and_after(transfers, column):
    axes = [a for a in transfer_by_training(transfers, 1.5, 64, column).axes if a.get_visible()]
    titles = [axis.get_title(loc="left") for axis in axes]
    assert titles == ["mean", "parcel kernels", "linear", "linear, from PCA", "conv"]
    for index, axis in enumerate(axes):
        for shift, when in ((0.0, "after"), (0.5, "before")):
            value = index / 10 + shift + np.array(RATES_HZ) / 100
            value = value if column == "in_phase_gain" else 1 - value
            drawn = lines(axis)[f"{when} training"].get_xydata()
            np.testing.assert_allclose(drawn, np.c_[RATES_HZ, value])


@pytest.mark.parametrize(("column", "power"), [("gain", 1), ("in_phase_gain", 2)])
def test_the_formula_of_averaging_stands_in_every_panel(transfers, column, power):
    for axis in transfer_by_training(transfers, 1.5, 64, column).axes[:5]:
        fine_hz, drawn = lines(axis)["averaging, formula"].get_data()
        np.testing.assert_allclose(drawn, averaging_gain(fine_hz, 1.5, 64) ** power)
        # No whole number of cycles a TR gets through.
        assert np.interp(2.0, fine_hz, drawn) < 1e-3


def test_before_is_grey_and_after_in_colour(transfers):
    drawn = lines(transfer_by_training(transfers, 1.5, 64).axes[0])
    assert len(set(to_rgb(drawn["before training"].get_color()))) == 1
    assert len(set(to_rgb(drawn["after training"].get_color()))) == 3


def test_without_starts_there_is_a_panel_an_aggregator(transfers):
    plain = transfers[transfers["start"] == "random"].drop(columns="start")
    axes = [axis for axis in transfer_by_training(plain, 1.5, 64).axes if axis.get_visible()]
    assert len(axes) == 4


def test_nothing_drawn_is_an_error_that_says_so(transfers):
    with pytest.raises(SettingsError, match="no modulation transfer"):
        transfer_by_training(transfers[:0], 1.5, 64)


def test_titles_do_not_run_into_each_other(transfers):
    figure = transfer_by_training(transfers, 1.5, 64)
    figure.savefig(io.BytesIO())
    boxes = [axis._left_title.get_window_extent() for axis in figure.axes[:4]]
    for left, right in pairwise(boxes):
        assert left.x1 < right.x0
    assert boxes[-1].x1 < figure.bbox.width + 2
