"""Figures of decoding show the numbers of their rows."""

import numpy as np
import pandas as pd
import pytest

from subtr.experiments.results import COLUMNS
from subtr.params import SettingsError
from subtr.viewing import bold as decoding

PAIRWISE, TOP1 = "identification (pairwise)", "identification (top-1)"


def table(*rows):
    blank = dict.fromkeys(COLUMNS, np.nan) | {"study": "a", "group": "", "seed": 0}
    return pd.DataFrame([blank | row for row in rows], columns=list(COLUMNS))


def told(metric, value, **more):
    ends = {"low": value - 0.1, "high": value + 0.05, "floor": 0.6, "ceiling": 0.98}
    return {"system": "tier1", "modality": "sound", "metric": metric, "value": value} | ends | more


def test_points_lie_at_the_scores_and_chance_is_marked():
    prefix = "from BOLD: "
    chance = {"system": "tier1", "modality": "sound", "metric": f"{prefix}{TOP1} chance"}
    rows = table(
        told(prefix + PAIRWISE, 0.8), told(prefix + TOP1, 0.3), chance | {"value": 0.04},
        told(PAIRWISE, 0.9, modality="bold"),
    )  # fmt: skip
    figure = decoding.identification(rows, from_bold=True)
    drawn = [[line.get_xdata()[0] for line in axis.lines] for axis in figure.axes]
    assert {0.8, 0.5, 0.6, 0.98} <= set(drawn[0])
    assert {0.3, 0.04} <= set(drawn[1])
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["tier1, sound"]
    with pytest.raises(SettingsError, match="identification"):
        decoding.identification(rows[rows["modality"] == "none"])


def test_each_region_has_its_loss_and_what_it_says_alone():
    metric = f"from BOLD: {PAIRWISE}"
    rows = table(
        *(
            told(f"{metric} {name}", value, group=region)
            for region, name, value in [
                ("auditory", "lost without", 0.2), ("auditory", "by it alone", 0.7),
                ("visual", "lost without", 0.01), ("visual", "by it alone", 0.55),
            ]
        )
    )  # fmt: skip
    figure = decoding.lesions(rows)
    lost, alone = ({line.get_xdata()[0] for line in axis.lines} for axis in figure.axes)
    assert {0.2, 0.01, 0.0} <= lost
    assert {0.7, 0.55, 0.5} <= alone
    with pytest.raises(SettingsError, match="lesions"):
        decoding.lesions(rows[:0])
