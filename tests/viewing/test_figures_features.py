"""The figure of features shows what changes within the TRs first, each on its own scale."""

import numpy as np
import pytest

from subtr.params import SettingsError
from subtr.timeline import Clock
from subtr.viewing import stimulus as features_module

CLOCK = Clock(1.5, 6, frames_per_tr=4)


def test_what_changes_is_on_top_and_scaled_by_the_whole_study():
    features = np.zeros((6, 4, 3), np.float32)
    features[:, :, 0] = 7  # never changes
    features[2, 2:, 1] = 3
    features[5, 0, 1] = 6
    features[0, 0, 2] = 1  # changes, but elsewhere
    figure = features_module.feature_strips(
        features, ("still", "speaks", "other"), CLOCK, range(2, 4)
    )
    (axis,) = figure.axes
    assert axis.get_yticklabels()[0].get_text() == "speaks"
    (image,) = axis.images
    np.testing.assert_allclose(image.get_array()[0], [0, 0, 0.5, 0.5, 0, 0, 0, 0])
    assert axis.get_xlim() == (3.0, 6.0)


def test_nothing_to_show_is_said():
    with pytest.raises(SettingsError, match="none to show"):
        features_module.feature_strips(np.zeros((6, 4, 0), np.float32), (), CLOCK, range(2))
