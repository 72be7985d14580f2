"""The figure of scores against costs."""

import io
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from subtr.experiments.results import COLUMNS
from subtr.params import SettingsError
from subtr.viewing.scores import cost_benefit
from subtr.viewing.style import colour_of


def scores(*systems, metric="within-TR R²", floats=128):
    rows = [
        {"study": "s", "system": system, "metric": metric, "modality": "sound", "group": ""}
        | {"value": value, "low": value - 0.1, "high": value + 0.2, "floats_per_tr": floats}
        for system, value in systems
    ]
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))


def costs(**systems):
    rows = [
        {"system": name.replace("_", " "), "parameters": n, "flops": 2 * n}
        for name, n in systems.items()
    ]
    return pd.DataFrame(rows).convert_dtypes()


def bars(figure):
    return {one.get_label(): one for one in figure.axes[0].containers}


def names(figure):
    return [text for text in figure.axes[0].texts if text.get_text() not in ("floor", "ceiling")]


def test_a_point_stands_at_its_cost_and_score_with_its_interval():
    figure = cost_benefit(costs(tier_1=3000, linear=200), scores(("tier 1", 0.6), ("linear", 0.2)))
    (axis,) = figure.axes
    line, _, (stem,) = bars(figure)["tier 1"]
    assert line.get_xydata().tolist() == [[3000, 0.6]]
    np.testing.assert_allclose(stem.get_segments()[0][:, 1], [0.5, 0.8])
    assert to_hex(line.get_color()).lower() == colour_of("tier 1").lower()
    assert axis.get_xscale() == "log"
    assert {text.get_text() for text in names(figure)} == {"tier 1", "linear"}
    figure = cost_benefit(costs(tier_1=3000), scores(("tier 1", 0.6)), "flops")
    assert bars(figure)["tier 1"][0].get_xydata().tolist() == [[6000, 0.6]]
    assert "FLOPs" in figure.axes[0].get_xlabel()


def test_sizes_meet_their_own_costs():
    both = pd.concat([scores(("tier 1", 0.5), floats=64), scores(("tier 1", 0.7), floats=512)])
    sized = costs(tier_1=10).loc[[0, 0]].assign(floats_per_tr=[512, 64], parameters=[900, 100])
    found = bars(cost_benefit(sized, both))
    points = {name: one[0].get_xydata().tolist() for name, one in found.items()}
    assert points == {"tier 1, 64 floats": [[100, 0.5]], "tier 1, 512 floats": [[900, 0.7]]}


def test_what_only_one_table_knows_or_costs_nothing_is_left_out():
    given = costs(tier_1=10, other=20, free=0)
    figure = cost_benefit(given, scores(("tier 1", 0.5), ("PCA", 0.4), ("free", 0.1)))
    assert list(bars(figure)) == ["tier 1"]


def test_floor_and_ceiling_are_drawn_where_they_are_known():
    known = scores(("tier 1", 0.5)).assign(floor=0.1, ceiling=0.9)
    (axis,) = cost_benefit(costs(tier_1=10), known).axes
    heights = {text.get_text(): text.get_position()[1] for text in axis.texts}
    assert (heights["floor"], heights["ceiling"]) == (0.1, 0.9)


def test_names_of_near_points_stay_apart_and_inside():
    systems = [f"system number {letter}" for letter in "abcdefgh"]
    given = costs(**{name.replace(" ", "_"): 1000 + n for n, name in enumerate(systems)})
    figure = cost_benefit(given, scores(*((name, 0.5 + n / 1e3) for n, name in enumerate(systems))))
    figure.savefig(io.BytesIO())
    boxes = [text.get_window_extent() for text in names(figure)]
    assert len(boxes) == 8
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    for box in boxes:
        assert 0 < box.x0 < box.x1 < figure.bbox.width
        assert 0 < box.y0 < box.y1 < figure.bbox.height


def test_what_lacks_is_named():
    with pytest.raises(SettingsError, match="no r of sound"):
        cost_benefit(costs(tier_1=10), scores(("tier 1", 0.5)), metric="r")
    with pytest.raises(SettingsError, match="whose parameters the costs hold"):
        cost_benefit(costs(tier_2=10), scores(("tier 1", 0.5)))
    with pytest.raises(SettingsError, match="lack a column 'step_ms'"):
        cost_benefit(costs(tier_1=10), scores(("tier 1", 0.5)), "step_ms")
