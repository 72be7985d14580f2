"""The map shows the means of the table, system by group."""

import pandas as pd
import pytest

from benchmarks.drawing import score_map
from subtr.params import SettingsError


def rows():
    return pd.DataFrame(
        [
            {"study": "film", "modality": "bold", "metric": "r", "group": group, "seed": seed}
            | {"system": system, "value": value + 0.1 * seed, "low": 0.0, "high": 1.0}
            | {"floor": 0.0, "ceiling": 1.0, "floats_per_tr": 64.0, "fold": ""}
            for seed in (0, 1, 2)
            for system, group, value in (
                ("transformer", "order", 0.2),
                ("transformer", "onset", 0.3),
                ("multiscale", "order", 0.6),
            )
        ]
    )


def test_every_number_is_the_mean_over_seeds_at_its_place():
    axis = score_map(rows(), "r").axes[0]
    texts = {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text()
             for text in axis.texts}  # fmt: skip
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["transformer", "multiscale"]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["order", "onset"]
    assert texts == {(0, 0): "0.30", (0, 1): "0.40", (1, 0): "0.70"}


def test_without_rows_it_says_what_is_missing():
    with pytest.raises(SettingsError, match="r / ceiling"):
        score_map(rows().iloc[:0], "r / ceiling")


def test_sizes_stand_in_their_order():
    sizes = [rows().assign(floats_per_tr=floats) for floats in (128.0, 64.0, 512.0)]
    axis = score_map(pd.concat(sizes), "r", "floats_per_tr").axes[0]
    said = [tick.get_text() for tick in axis.get_xticklabels()]
    assert said == ["64 floats", "128 floats", "512 floats"]
