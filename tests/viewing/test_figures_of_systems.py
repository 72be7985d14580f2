"""Figures of levels, attention and systems side by side show the numbers that they are given."""

import numpy as np
import pandas as pd
import pytest

from subtr.params import SettingsError
from subtr.timeline import Clock
from subtr.viewing.scores import change_strips, scores_of_systems, without_parts
from subtr.viewing.stimulus import attention_over_tr

CLOCK = Clock(tr_s=1.5, n_trs=5, frames_per_tr=8)


def test_without_a_level_a_line_leads_from_the_whole_to_what_is_left():
    rows = pd.DataFrame(
        [
            {"without": without, "group": group, "value": value}
            for without, values in {"all levels": (0.9, 0.5), "43 Hz": (0.2, 0.4)}.items()
            for group, value in zip(("2-4 Hz", "4-8 Hz"), values, strict=True)
        ]
    )
    (axis,) = without_parts(rows, "kept").axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["2-4 Hz", "4-8 Hz"]
    (lines,) = axis.collections
    ends = np.sort([segment[:, 0] for segment in lines.get_segments()], axis=1)
    np.testing.assert_allclose(ends, [[0.2, 0.9], [0.4, 0.5]])
    with pytest.raises(SettingsError, match="no kept without levels"):
        without_parts(rows[:0], "kept")


def test_attention_lies_below_the_sound_that_it_looks_at():
    mel = np.random.default_rng(0).normal(size=(5, 8, 6))
    maps = np.full((2, 4, 4), 0.1)
    maps[:, :, 3] = 0.7
    figure = attention_over_tr(maps, mel, CLOCK, 2, context_s=0.375)
    titles = {axis.get_title(loc="left"): axis for axis in figure.axes}
    sound = titles["Log-mel of TR 2"].images[0]
    # Two frames of the TRs before and after on either side.
    np.testing.assert_array_equal(sound.get_array(), mel.reshape(40, 6)[14:26].T)
    (head,) = titles["head 2"].images
    np.testing.assert_allclose(head.get_array(), maps[1] * 4)
    for image in (sound, head):
        assert image.get_extent()[:2] == [-0.375, 1.875] or image.get_extent()[:2] == (
            -0.375,
            1.875,
        )
    received = titles["Attention that each moment gets, a line a head (1: evenly spread)"]
    np.testing.assert_allclose(received.lines[0].get_ydata(), [0.4, 0.4, 0.4, 2.8])
    with pytest.raises(SettingsError, match="tr = 5: expected one from 0 to 4"):
        attention_over_tr(maps, mel, CLOCK, 5)


def test_scores_of_systems_stand_at_their_values_beside_the_floor():
    row = {"study": "s", "seed": 0, "fold": 0, "modality": "pictures", "group": "", "floor": 0.1}
    rows = pd.DataFrame(
        [
            row
            | {"system": system, "metric": metric, "value": value, "floats_per_tr": 64.0}
            | {"low": value - 0.1, "high": value + 0.1, "ceiling": 1.0}
            for system, value in (("averaging", 0.3), ("s3d", 0.6))
            for metric in ("within-TR R²", "motion coherence")
        ]
    )
    wanted = ["within-TR R²", "motion coherence", "not measured"]
    figure = scores_of_systems(rows, "pictures", wanted)
    assert [axis.get_title(loc="left") for axis in figure.axes] == wanted[:2]
    axis = figure.axes[1]
    dots = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "o"]
    assert dots == [0.3, 0.6]
    assert axis.lines[-1].get_xdata()[0] == pytest.approx(0.1)
    with pytest.raises(SettingsError, match="no not measured"):
        scores_of_systems(rows, "pictures", wanted[2:])


def test_what_stands_still_is_grey_and_what_brightens_is_bright():
    film = np.full((1, 3, 4, 6, 3), 100, np.uint8)
    film[0, 2, :, :3] = 110
    (axis,) = change_strips({"original": film}, 0).axes
    shown = np.asarray(axis.images[0].get_array())[..., 0]
    assert (shown[:, :6] == 128).all()
    # The second change, past a white line.
    assert (shown[:, 8:11] == 158).all()
    assert (shown[:, 11:14] == 128).all()
