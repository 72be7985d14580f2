"""Parts of variance that sum to the whole, and planted ones that are found."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from subtr.datasets.study import Study
from subtr.experiments.brain_encoding import partition, partition_name, partitioned
from subtr.params import SettingsError
from subtr.timeline import Clock

SETS = [frozenset(of) for of in ("a", "b", "c", "ab", "ac", "bc", "abc")]


@given(arrays(float, (7, 2), elements=st.floats(-1, 1)))
def test_parts_sum_to_the_whole_and_to_each_model(values):
    r2 = dict(zip(SETS, values, strict=True))
    common = partition(r2)
    for model, of in r2.items():
        inside = sum(part for spaces, part in common.items() if spaces & model)
        np.testing.assert_allclose(inside, of, atol=1e-12)


def test_a_space_alone_adds_what_the_others_lack():
    r2 = {SETS[0]: 0.3, SETS[1]: 0.2, SETS[3]: 0.4}
    common = partition({spaces: np.array([value]) for spaces, value in r2.items()})
    assert common[SETS[0]] == pytest.approx(0.2)
    assert common[SETS[1]] == pytest.approx(0.1)
    assert common[SETS[3]] == pytest.approx(0.1)


def test_a_missing_model_is_named():
    with pytest.raises(SettingsError, match="R2 of a, b together is missing"):
        partition({SETS[0]: np.zeros(1), SETS[1]: np.zeros(1)})


def test_planted_parts_are_found():
    rng = np.random.default_rng(0)
    shared, own, other, noise = rng.standard_normal((4, 900, 1))
    spaces = {"left": np.hstack([shared, own]), "right": np.hstack([shared, other])}
    # Parcels of what both hold, of what one holds, and of nothing.
    bold = np.hstack([shared, own, noise]) + 0.3 * rng.standard_normal((900, 3))
    parcels = pd.DataFrame({"tuning": ["both", "left", "none"]}, index=["p", "q", "z"])
    study = Study("planted", Clock(2.0, 900), bold={"s": bold}, parcels=parcels)
    found = partitioned(study.folds(3, drift_order=0), spaces, fir_s=0.0)
    found = {partition_name(part): of for part, of in found.items()}
    assert found["left & right"][0] > 0.85
    assert found["left alone"][1] > 0.85
    assert max(found["left alone"][0], found["right alone"][0], found["right alone"][1]) < 0.05
    assert sum(found.values())[2] < 0.05
    each = [spaces] * 3
    again = partitioned(study.folds(3, drift_order=0), each, fir_s=0.0)
    np.testing.assert_allclose(again[frozenset(["left"])], found["left alone"])


def test_too_many_spaces_are_refused():
    bold = {"s": np.random.default_rng(0).standard_normal((200, 1))}
    parcels = pd.DataFrame({"tuning": ["x"]}, index=["p"])
    study = Study("planted", Clock(2.0, 200), bold=bold, parcels=parcels)
    spaces = {str(name): bold["s"] for name in range(5)}
    with pytest.raises(SettingsError, match="5 feature spaces: expected 1 to 4"):
        partitioned(study.folds(2, drift_order=0), spaces)
