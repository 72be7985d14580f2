"""Baselines on sound and pictures whose best code is known, fold after fold."""

import numpy as np
import pytest
from planted import low_rank_study, order_study

from subtr.datasets.study import Study
from subtr.experiments.experiment import bold_baselines, picture_baselines, sound_baselines
from subtr.metrics.bold import pearson_r
from subtr.metrics.temporal import within_tr_r2
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.timeline import Clock

RATE_HZ = 8000
SETTINGS = MelSettings(rate_hz=RATE_HZ, n_mels=20, window_samples=256, fmax_hz=4000)


def by_name(found):
    return {(baseline.name, baseline.floats_per_tr): baseline.result for baseline in found}


def real_sound(study, splits, pca_floats):
    """`sound_baselines` of a study whose mel is none: the round trip needs settings that fit."""
    settings = MelSettings(rate_hz=1000, n_mels=6, window_samples=256, fmax_hz=500)
    made = Study(study.name, study.clock, mel=study.mel, mel_settings=settings)
    return by_name(sound_baselines(made, splits, pca_floats))


def test_four_numbers_hold_a_sound_of_four_windows_and_an_average_holds_none():
    study = low_rank_study()
    splits = study.splits(3, gap_s=6.0)
    original = study.mel[np.concatenate([split.test for split in splits])]
    found = real_sound(study, splits, (2, 4))
    names = [("mean", 6), ("nearest", 6), ("Lanczos", 6), ("PCA", 2), ("PCA", 4)]
    assert list(found) == [*names, ("round trip", 48)]
    kept = {name: within_tr_r2(original, of) for name, of in found.items()}
    assert kept["PCA", 4] == pytest.approx(1, abs=1e-4)
    assert 0.3 < kept["PCA", 2] < 0.95
    assert kept["mean", 6] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(found["mean", 6][7, 3], original[7].mean(0), atol=1e-5)
    np.testing.assert_array_equal(found["nearest", 6][7, 3], original[7, 4])


def test_components_come_from_training_trs_alone():
    study = low_rank_study()
    split = study.splits(3, gap_s=6.0)[1]
    mel = study.mel.copy()
    mel[split.test[5:]] *= 50  # would carry every component, were it seen
    loud = Study("loud", study.clock, mel=mel)
    one, other = (real_sound(of, [split], (4,))["PCA", 4][:5] for of in (study, loud))
    np.testing.assert_array_equal(one, other)


def test_more_components_than_can_be_learned_are_left_out():
    study = low_rank_study(n_trs=60)
    found = real_sound(study, study.splits(3, gap_s=6.0), (4, 48, 1000))
    assert [name for name in found if name[0] == "PCA"] == [("PCA", 4)]


def test_the_round_trip_of_a_real_spectrogram_is_a_ceiling_above_the_baselines():
    rng = np.random.default_rng(0)
    loudness = np.repeat(np.exp(rng.normal(0, 1, 600)), RATE_HZ // 10) * 0.05
    sound = (loudness * rng.normal(size=len(loudness))).astype(np.float32)
    clock = Clock(1.5, 40, frames_per_tr=32)
    mel = log_mel_of_sound(sound, RATE_HZ, clock, SETTINGS)
    study = Study("noise", clock, mel=mel, mel_settings=SETTINGS)
    splits = study.splits(2, gap_s=3.0)[:1]
    found = by_name(sound_baselines(study, splits, ()))
    original = mel[splits[0].test]
    kept = {name: within_tr_r2(original, of) for (name, _), of in found.items()}
    assert kept["round trip"] > 0.7
    assert kept["round trip"] > kept["Lanczos"] + 0.2


def test_pictures_come_back_as_pictures():
    rng = np.random.default_rng(0)
    places = rng.permutation(np.arange(90) % 6)
    pictures = np.full((90, 2, 3, 6, 3), 30, np.uint8)
    for tr, place in enumerate(places):  # a dot that jumps one to the right within the TR
        pictures[tr, 0, 1, place] = 200
        pictures[tr, 1, 1, (place + 1) % 6] = 200
    study = Study("dots", Clock(1.5, 90), pictures=pictures)
    splits = study.splits(3, gap_s=3.0)
    found = by_name(picture_baselines(study, splits, (12,)))
    original = pictures[np.concatenate([split.test for split in splits])]
    assert {result.dtype for result in found.values()} == {np.dtype(np.uint8)}
    assert within_tr_r2(original, found["PCA", 12]) > 0.95
    assert within_tr_r2(original, found["mean", 54]) == pytest.approx(0, abs=1e-9)


def test_ridge_gets_what_averages_hold_and_no_more():
    study = order_study()
    signal = study.truth["group"]["signal"]
    level = np.convolve(study.mel.mean((1, 2)), np.ones(3))[:260]
    bold = {"s": np.stack([signal[:, 0], level, level], axis=1)}
    made = Study("both", study.clock, mel=study.mel, bold=bold, parcels=study.parcels)
    found = by_name(bold_baselines(made.folds(2, drift_order=1)))
    assert [name for name, _ in found] == [
        f"{kind}, {feature}"
        for feature in ("mean mel", "sound power", "onset flux")
        for kind in ("ridge", "canonical ridge")
    ]
    r = pearson_r(found["ridge, mean mel", 4], bold["s"])
    assert r[1] > 0.9
    assert r[0] < 0.3


def test_what_went_through_a_response_is_given_no_other():
    study = order_study()
    signal = study.truth["group"]["signal"]
    made = Study(
        "both",
        study.clock,
        bold={"s": signal},
        parcels=study.parcels,
        regressors={"raw": signal, "ready": signal},
        convolved=("ready",),
    )
    found = by_name(bold_baselines(made.folds(2, drift_order=1)))
    assert [name for name, _ in found] == ["ridge, raw", "canonical ridge, raw", "ridge, ready"]
    size = signal.shape[1]
    # Without lags it is the BOLD itself; a second response only blurs it.
    assert pearson_r(found["ridge, ready", size], signal).min() > 0.99
    assert pearson_r(found["canonical ridge, raw", size], signal).max() < 0.99
