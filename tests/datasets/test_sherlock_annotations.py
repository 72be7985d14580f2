"""Annotations of the Sherlock film: whose second counts, and how exactly frames hold it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subtr.datasets.sherlock import (
    RUN_TRS,
    TR_S,
    _means,
    annotation_frames,
    annotation_trs,
    read_segments,
)
from subtr.params import StudyError


@pytest.fixture(scope="module")
def segments(data_dir):
    return read_segments(data_dir / "sherlock" / "Sherlock_Segments_1000_NN_2017.xlsx")


def test_seconds_start_anew_in_run_2_and_the_tr_columns_say_so(segments):
    assert len(segments) == 998  # 481 and 482 have no volumes
    second = segments[segments["run"] == 1].iloc[0]
    assert (second["onset_s"], second["first_tr"]) == (0.0, 946)
    assert segments["scene"].dropna().iloc[-1] != ""
    assert (segments["offset_s"] >= segments["onset_s"]).all()
    at_s = (segments["first_tr"] - segments["run"] * RUN_TRS[0]) * TR_S
    assert (at_s - segments["onset_s"]).abs().max() <= TR_S / 2
    # Two in three begin within a TR, which is what whole TRs cannot say.
    within = segments["onset_s"] % TR_S > 0
    assert 0.4 < within.mean() < 0.75


def test_frames_hold_what_is_on_at_their_seconds(segments):
    names, frames = annotation_frames(segments, 3)
    speaking = names.index("speaking")
    for row in segments[segments["offset_s"] > segments["onset_s"]].iloc[::37].itertuples():
        # Frames of half a second lie within whole seconds: nothing is mixed.
        index = row.run * RUN_TRS[0] * 3 + int(row.onset_s * 2)
        tr, frame = divmod(index, 3)
        assert frames[tr, frame, speaking] == (not pd.isna(row.speaking))
        assert frames[tr, frame, names.index("segment begins")] == 1
        assert frames[tr, frame, names.index("arousal")] == pytest.approx(
            np.mean([getattr(row, f"_{place}") for place in _arousal_places(segments)]), abs=1e-5
        )
    assert frames[..., names.index("indoor")].max() == 1
    assert frames[..., names.index("scene begins")].sum() == segments["scene"].notna().sum()


def _arousal_places(segments):
    return [1 + segments.columns.get_loc(f"arousal {rater}") for rater in range(1, 5)]


@pytest.mark.parametrize("frames_per_tr", [1, 2, 7, 64])
def test_the_mean_of_a_tr_is_exact_for_any_number_of_frames(segments, frames_per_tr):
    names, frames = annotation_frames(segments, frames_per_tr)
    _, exact = annotation_frames(segments, 3)
    n_held = names.index("segment begins")
    found, wanted = (of[..., :n_held].mean(1) for of in (frames, exact))
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_whole_trs_round_what_frames_keep(segments):
    whole = annotation_trs(segments)[:, 0]
    _, frames = annotation_frames(segments, 3)
    exact = frames[..., 0].mean(1)
    assert set(np.unique(whole)) == {0.0, 1.0}
    assert 0.05 < (np.abs(whole - exact) > 0.2).mean() < 0.3


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.integers(1, 9))
def test_means_between_edges_agree_with_a_fine_grid(seed, n_segments):
    rng = np.random.default_rng(seed)
    stops_s = np.sort(rng.choice(np.arange(40), n_segments + 1, replace=False)).astype(float)
    stops_s -= stops_s[0]
    values = rng.normal(size=(n_segments, 2))
    edges_s = np.linspace(0, stops_s[-1], 8)
    fine_s = (np.arange(70_000) + 0.5) / 70_000 * stops_s[-1]
    on = np.searchsorted(stops_s, fine_s, side="right") - 1
    wanted = values[np.minimum(on, n_segments - 1)].reshape(7, 10_000, 2).mean(1)
    np.testing.assert_allclose(_means(values, stops_s, edges_s), wanted, atol=1e-3)


def test_seconds_that_contradict_their_trs_are_named(data_dir, tmp_path):
    sheet = pd.read_excel(data_dir / "sherlock" / "Sherlock_Segments_1000_NN_2017.xlsx")
    sheet.loc[9, "Start Time (TRs, 1.5s)"] += 3
    sheet.to_excel(tmp_path / "moved.xlsx", index=False)
    with pytest.raises(StudyError, match=r"moved\.xlsx: segment 10 begins at"):
        read_segments(tmp_path / "moved.xlsx")
