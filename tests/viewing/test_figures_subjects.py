"""Figures of many subjects show the numbers that they are given."""

import numpy as np
import pandas as pd
import pytest

from subtr.experiments.results import COLUMNS
from subtr.params import SettingsError
from subtr.viewing.bold import scale, subject_gains


def measured(slope=2.0, start=5.0):
    sizes = [(10, 1000), (100, 1000), (30, 1000), (100, 300)]
    rows = [
        {"subjects": n, "parcels": p, "cpu_s": start + slope * n * p / 1000, "peak_gb": 0.5}
        | {"bold_gb": n * p * 8e-6}
        for n, p in sizes
    ]
    return pd.DataFrame(rows)


def test_seconds_lie_on_the_line_through_them():
    figure = scale(measured())
    by_subjects, by_parcels, memory = figure.axes
    points, line = by_subjects.get_lines()
    np.testing.assert_allclose(points.get_xydata(), [[10, 25], [30, 65], [100, 205]])
    np.testing.assert_allclose(line.get_xydata(), [[0, 5], [100, 205]], atol=1e-9)
    assert "2 s each" in [text.get_text() for text in by_subjects.texts]
    np.testing.assert_allclose(by_parcels.get_lines()[0].get_xdata(), [300, 1000])
    np.testing.assert_allclose(memory.get_lines()[1].get_ydata(), [0.08, 0.24, 0.8])


def test_without_measurements_there_is_no_figure():
    with pytest.raises(SettingsError, match="'cpu_s'"):
        scale(measured().drop(columns="cpu_s"))
    with pytest.raises(SettingsError, match="no measurement of many subjects"):
        scale(measured()[:0])


def gains():
    rows = []
    for other, value in (("separate", 0.2), ("mean", -0.1)):
        for index, group in enumerate(("", "order", "onset")):
            at = value + index / 100
            row = {"study": "s", "system": "joint", "metric": f"gain in r over {other}"}
            row |= {"group": group, "modality": "bold", "value": at}
            rows.append(row | {"low": at - 0.05, "high": at + 0.02})
    rows.append({"study": "s", "system": "joint", "metric": "r", "group": "", "value": 0.5})
    return pd.DataFrame(rows, columns=COLUMNS)


def test_each_pair_has_a_panel_and_each_class_a_row():
    axes = subject_gains(gains()).axes
    assert [axis.get_title(loc="left") for axis in axes] == [
        "joint,\nover separate",
        "joint,\nover mean",
    ]
    for axis, value in zip(axes, (0.2, -0.1), strict=True):
        points = axis.containers[0].lines[0]
        np.testing.assert_allclose(points.get_xdata(), value + np.arange(3) / 100)
        np.testing.assert_allclose(points.get_ydata(), range(3))
        (bars,) = axis.containers[0].lines[2]
        first = bars.get_segments()[0]
        np.testing.assert_allclose(first[:, 0], [value - 0.05, value + 0.02])
    assert axes[0].get_yticklabels()[0].get_text() == "all parcels"


def test_gains_that_were_not_measured_are_named():
    rows = gains()
    with pytest.raises(SettingsError, match="no gain in r over another way"):
        subject_gains(rows[rows["metric"] == "r"])
