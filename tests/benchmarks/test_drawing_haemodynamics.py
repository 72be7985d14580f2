"""Figures of the response show the means, the truth and the bound of their tables."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from benchmarks.drawing import deconvolution_gain, peak_recovery
from subtr.params import SettingsError


def test_a_panel_a_condition_with_the_mean_of_each_method_and_an_interval_around_it():
    rng = np.random.default_rng(0)
    keys = product(
        ["events", "smooth"], [4.0, 5.0], [0.1, 1.0], ["shift by 5 s", "wiener"], range(9)
    )
    columns = ["activity", "peak_s", "snr", "method", "parcel"]
    table = pd.DataFrame(list(keys), columns=columns).assign(assumed_peak_s=5.0)
    table["r"] = rng.normal(0.5, 0.1, len(table))
    figure = deconvolution_gain(table)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles[1] == "events; response as assumed"
    assert titles[2] == "smooth; response -1 s off"
    (line,) = [one for one in figure.axes[1].get_lines() if one.get_label() == "wiener"]
    chosen = table.query("activity == 'events' and peak_s == 5.0 and method == 'wiener'")
    np.testing.assert_allclose(line.get_ydata(), chosen.groupby("snr")["r"].mean())
    band = figure.axes[1].collections[1].get_paths()[0].vertices[:, 1]
    assert band.min() < line.get_ydata().min()
    assert band.max() > line.get_ydata().max()
    with pytest.raises(SettingsError, match="no deconvolution"):
        deconvolution_gain(table[:0])


def test_found_peaks_lie_beside_the_planted_ones_within_their_bound():
    table = pd.DataFrame({"peak_s": [4.0, 4.0, 6.0, 6.0], "found_s": [4.2, 3.9, 6.1, 5.5]})
    table = table.assign(fit="readout", response="kernel", bound_s=0.1)
    figure = peak_recovery(table)
    (axis,) = figure.axes
    assert axis.get_title(loc="left") == "readout, kernel: median error 0.15 s"
    points = [line for line in axis.get_lines() if line.get_marker() == "o"]
    np.testing.assert_array_equal(points[0].get_ydata(), table["found_s"])
    band = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((3.8, 6.2))
