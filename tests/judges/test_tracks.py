import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subtr.judges.video import overlaps


@pytest.mark.parametrize(
    ("other", "want"),
    [
        ((0, 0, 4, 2), 1.0),
        ((2, 0, 4, 2), 4 / 12),
        ((0, 1, 4, 2), 4 / 12),
        ((4, 0, 4, 2), 0.0),
        ((9, 9, 1, 1), 0.0),
        ((1, 0, 2, 2), 0.5),
        ((0, 0, 0, 0), 0.0),
    ],
)
def test_overlaps_of_known_boxes(other, want):
    box = np.array([[0.0, 0, 4, 2]])
    assert overlaps(box, np.array([other], float))[0] == pytest.approx(want)


boxes = st.tuples(*[st.floats(-20, 20)] * 2, *[st.floats(0.1, 20)] * 2).map(
    lambda box: np.array([box])
)


@given(boxes, boxes, st.floats(-9, 9))
def test_overlaps_know_no_order_and_no_place(one, other, shift):
    value = overlaps(one, other)
    assert 0 <= value[0] <= 1 + 1e-9
    np.testing.assert_allclose(overlaps(other, one), value)
    moved = np.array([shift, shift, 0, 0])
    np.testing.assert_allclose(overlaps(one + moved, other + moved), value, atol=1e-6)
