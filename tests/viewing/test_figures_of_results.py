"""Figures of a results table show its values, intervals and ceilings."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from whole_figures import assert_whole

from subtr.experiments.results import read_results, write_results
from subtr.params import SettingsError
from subtr.viewing import bold, scores
from subtr.viewing.bold import headline
from subtr.viewing.style import colour_of


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    rows = []

    def add(system, metric, value, floats, modality="sound", group="", **ends):
        row = {"study": "s", "seed": 0, "fold": 0, "modality": modality, "metric": metric}
        row |= {"system": system, "value": value, "floats_per_tr": floats, "group": group} | ends
        rows.append(row)

    for floats, value in ((512, 0.5), (128, 0.1), (256, 0.3)):
        add("PCA", "within-TR R²", value, floats, low=value - 0.1, high=value + 0.2)
    add("tier 1", "within-TR R²", 0.6, 256, ceiling=0.9)
    for band, value in (("2-4 Hz", 0.7), ("under 2 Hz", 0.8)):
        add("tier 1", f"within-TR R² {band}", value, 256, low=value - 0.05)
    for group, value in (("level", 0.4), ("onset", 0.9)):
        add("FIR ridge", "r / ceiling", value, None, "bold", group, low=value - 0.1, high=1.0)
        add("FIR ridge", "r", value / 2, None, "bold", group, ceiling=0.5)
        add("tier 1", "r / ceiling", value / 2, 256, "bold", group)
    folder = tmp_path_factory.mktemp("tables")
    write_results(folder / "a.csv", rows)
    return read_results(folder)


def words(axis):
    return [text.get_text() for text in axis.texts]


def errorbars(axis):
    return {bars.get_label(): bars for bars in axis.containers}


def test_within_tr_r2_by_floats_draws_values_and_intervals(results):
    (axis,) = scores.within_tr_r2_by_floats(results).axes
    bars = errorbars(axis)
    line, _, (stems,) = bars["PCA"]
    np.testing.assert_array_equal(line.get_xydata(), [[128, 0.1], [256, 0.3], [512, 0.5]])
    np.testing.assert_allclose(stems.get_segments()[0][:, 1], [0.0, 0.3])
    assert to_hex(line.get_color()).lower() == colour_of("PCA").lower()
    assert bars["tier 1"][0].get_xydata().tolist() == [[256, 0.6]]
    assert set(words(axis)) == {"PCA", "tier 1", "ceiling"}
    assert [0.9, 0.9] in [list(line.get_ydata()) for line in axis.get_lines()]


def test_within_tr_r2_by_band_goes_from_slow_to_fast(results):
    (axis,) = scores.within_tr_r2_by_band(results).axes
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["under 2 Hz", "2-4 Hz"]
    assert errorbars(axis)["tier 1"][0].get_ydata().tolist() == [0.8, 0.7]


def test_bold_by_group_draws_values_and_ceilings(results):
    (axis,) = bold.bold_by_group(results).axes
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["level", "onset"]
    bars = errorbars(axis)
    line, _, (stems,) = bars["FIR ridge"]
    assert line.get_xdata().tolist() == [0.4, 0.9]
    np.testing.assert_allclose(stems.get_segments()[1][:, 0], [0.8, 1.0])
    assert bars["tier 1"][0].get_xdata().tolist() == [0.2, 0.45]
    assert [1, 1] in [list(line.get_xdata()) for line in axis.get_lines()]
    (axis,) = bold.bold_by_group(results, "r").axes
    assert [0.5, 0.5] in [list(line.get_xdata()) for line in axis.get_lines()]


def test_headline_holds_both_halves_in_the_same_colours(results):
    left, right = headline(results).axes
    colours = [errorbars(axis)["tier 1"][0].get_color() for axis in (left, right)]
    assert colours == [colour_of("tier 1")] * 2


def test_missing_scores_are_named(results):
    with pytest.raises(SettingsError, match="no within-TR R² of pictures"):
        scores.within_tr_r2_by_floats(results, "pictures")
    with pytest.raises(SettingsError, match="no BOLD 'p' by group"):
        bold.bold_by_group(results, "p")


def test_nothing_is_cut_off_and_nothing_stays_open(results):
    assert_whole(
        lambda: headline(results),
        lambda: scores.within_tr_r2_by_band(results),
    )
