"""Rows of scores say what the score of a known reconstruction is known to be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subtr.experiments.results import block_trs, picture_rows, sound_rows
from subtr.metrics.temporal import within_tr_r2

RNG = np.random.default_rng(0)
MEL = RNG.normal(size=(60, 64, 5))
PICTURES = RNG.integers(0, 256, (40, 4, 6, 8, 3), dtype=np.uint8)


def by_metric(rows):
    return {row["metric"]: row for row in rows}


def test_the_original_scores_1_and_its_average_scores_its_floor():
    average = np.broadcast_to(MEL.mean(1, keepdims=True), MEL.shape)
    perfect, averaged = (by_metric(sound_rows(MEL, of, 1.5)) for of in (MEL, average))
    for metric, row in perfect.items():
        assert row["value"] == pytest.approx(1.0), metric
        assert row["ceiling"] == 1.0
        assert averaged[metric]["value"] == pytest.approx(averaged[metric]["floor"], abs=1e-9)
    assert perfect["within-TR R²"]["floor"] == 0.0


def test_a_planted_error_scores_what_it_must():
    within = MEL - MEL.mean(1, keepdims=True)
    half = MEL.mean(1, keepdims=True) + 0.5 * within
    rows = by_metric(sound_rows(MEL, half, 1.5))
    bands = [name for name in rows if name.startswith("within-TR R²")]
    assert len(bands) > 3
    for name in bands:  # half of every deviation is missing: 1 - 0.5 ** 2, in every band
        assert rows[name]["value"] == pytest.approx(0.75, abs=1e-6)


def test_intervals_hold_the_score_and_labels_are_in_every_row():
    noisy = MEL + 0.5 * np.random.default_rng(1).normal(size=MEL.shape)
    rows = sound_rows(MEL, noisy, 1.5, study="toy", system="a", seed=3)
    assert {(row["study"], row["system"], row["seed"]) for row in rows} == {("toy", "a", 3)}
    for row in rows:
        assert row["low"] < row["value"] < row["high"]
        assert row["modality"] == "sound"
    whole = by_metric(rows)["within-TR R²"]
    assert whole["value"] == pytest.approx(within_tr_r2(MEL, noisy))


def test_a_band_that_no_frame_rate_can_hold_has_no_score():
    coarse = MEL[:, ::8]  # 5.3 frames a second: nothing above 2.7 Hz
    rows = by_metric(sound_rows(coarse, coarse, 1.5))
    assert np.isnan(rows["within-TR R² 8-16 Hz"]["value"])
    assert rows["within-TR R² under 2 Hz"]["value"] == pytest.approx(1.0)


def test_pictures_are_scored_alike():
    average = np.broadcast_to(PICTURES.mean(1, keepdims=True).astype(np.uint8), PICTURES.shape)
    perfect = by_metric(picture_rows(PICTURES, PICTURES, 1.5))
    averaged = by_metric(picture_rows(PICTURES, average, 1.5))
    motion = {"motion coherence", "motion end-point error"}
    assert set(perfect) == {"within-TR R²", "frame correlation"} | motion
    for metric, row in perfect.items():
        assert row["value"] == pytest.approx(row["ceiling"])
        assert row["modality"] == "pictures"
        # Flow of an average that is rounded to whole numbers is not quite 0.
        near = 1e-3 if metric == "frame correlation" else 0.02
        assert averaged[metric]["value"] == pytest.approx(averaged[metric]["floor"], abs=near)
    assert {metric: row["ceiling"] for metric, row in perfect.items() if metric in motion} == {
        "motion coherence": 1.0,
        "motion end-point error": 0.0,
    }


def test_a_single_picture_a_tr_has_no_motion_to_score():
    one = PICTURES[:, :1]
    assert not any("motion" in row["metric"] for row in picture_rows(one, one, 1.5))


def test_a_film_backwards_scores_against_its_motion():
    rng = np.random.default_rng(2)
    # A texture of blocks that slides, two pixels a picture, each TR another.
    ground = np.kron(rng.integers(0, 256, (6, 5, 60)), np.ones((1, 8, 4))).astype(np.uint8)
    slid = np.stack([ground[:, :, 2 * k : 2 * k + 64] for k in range(4)], axis=1)
    film = slid[..., None].repeat(3, axis=-1)
    rows = by_metric(picture_rows(film, film[:, ::-1].copy(), 1.5))
    row = rows["motion coherence"]
    assert -1 <= row["low"] <= row["value"] <= row["high"] < -0.8
    assert rows["motion end-point error"]["value"] > 1.5


@given(n_trs=st.integers(1, 2000), tr_s=st.floats(0.3, 10))
def test_blocks_are_of_15_s_where_at_least_four_fit(n_trs, tr_s):
    n = block_trs(n_trs, tr_s)
    assert 1 <= n <= max(1, n_trs // 4)
    if n_trs * tr_s >= 4 * 15 + 4 * tr_s:
        assert n == max(1, round(15 / tr_s))
