"""Subjects that come one by one score what they score together, from disk as from memory."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted import after_hrf, order_study

from benchmarks.subject_stream import StreamedCeiling, fir_features, score_subjects
from subtr.datasets.film import read_bold_folder
from subtr.datasets.held_out import cleaned_bold, held_out_bold
from subtr.datasets.study import Study
from subtr.metrics.bold import pearson_r, split_half_ceiling, standardise_by_fold
from subtr.models.ridge import FirRidge
from subtr.params import StudyError
from subtr.timeline import Clock

NOISE = 1.0


def driven_study(n_trs=400, n_subjects=4, n_parcels=3, seed=0):
    """BOLD of two drives, which are known, and noise as strong."""
    rng = np.random.default_rng(seed)
    drives = rng.normal(size=(n_trs, 2))
    signal = after_hrf(drives @ rng.normal(size=(2, n_parcels)), 2.0)
    signal /= signal.std(0)
    bold = {
        f"sub-{index + 1}": signal + NOISE * rng.normal(size=signal.shape)
        for index in range(n_subjects)
    }
    parcels = pd.DataFrame({"tuning": ["A", "A", "V"]}, index=["a1", "a2", "v1"])
    return Study(
        "driven", Clock(2.0, n_trs), bold=bold, parcels=parcels, regressors={"drives": drives}
    )


STUDY = driven_study()
SPLITS = STUDY.splits(4)
FEATURES = fir_features(STUDY, STUDY.regressors)


@pytest.fixture(scope="module")
def scored():
    (found,) = score_subjects(STUDY, SPLITS, FEATURES, 1)
    return found


def test_the_known_drives_reach_what_the_noise_allows(scored):
    expected = 1 / np.sqrt(1 + NOISE**2)
    assert scored.r.mean() == pytest.approx(expected, abs=0.05)
    np.testing.assert_allclose(scored.ceiling, expected, atol=0.05)
    assert (scored.r.mean(0) < scored.ceiling + 0.03).all()
    rows = {(row["metric"], row["group"]): row for row in scored.rows(system="ridge, drives")}
    assert next(iter(rows)) == ("r", "")
    assert rows["r", "V"]["value"] == pytest.approx(scored.r[:, 2].mean())
    assert rows["r", "A"]["value"] == pytest.approx(scored.r[:, :2].mean())
    assert rows["r", ""]["low"] < rows["r", ""]["value"] < rows["r", ""]["high"]
    assert 0 < rows["r", ""]["floor"] < 0.2
    assert rows["r / ceiling", ""]["value"] == pytest.approx(1, abs=0.1)
    assert rows["r, one subject", "sub-3"]["value"] == pytest.approx(scored.r[2].mean())


def test_it_is_what_the_same_ridge_says_of_each_subject_at_once(scored):
    bold = held_out_bold(STUDY, SPLITS, 1)
    for index, subject in enumerate(STUDY.subjects):
        prediction = np.full((400, 3), np.nan)
        for split in SPLITS:
            cleaned = cleaned_bold(STUDY, split, 1)[0][subject]
            ridge = FirRidge(2.0, 16.0).fit(STUDY.regressors["drives"], cleaned, split.train)
            prediction[split.test] = ridge.predict(STUDY.regressors["drives"], split.test)
        tests = [split.test for split in SPLITS]
        r = pearson_r(standardise_by_fold(prediction, tests), bold.subjects[subject])
        # himalaya weighs inner folds alike, so that now and then another penalty is chosen.
        np.testing.assert_allclose(scored.r[index], r, atol=0.01)


def test_noise_predicts_nothing_and_shifts_say_how_little_that_is():
    noise = {"noise": np.random.default_rng(3).normal(size=(400, 5))}
    (found,) = score_subjects(STUDY, SPLITS, fir_features(STUDY, noise), 1)
    row = found.rows()[0]
    assert abs(row["value"]) < 0.12
    assert row["floor"] < 0.15


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_from_disk_as_from_memory_and_nothing_is_written(tmp_path, scored, dtype):
    for subject, bold in STUDY.bold.items():
        np.save(tmp_path / f"{subject}.npy", bold.astype(dtype))
    pd.DataFrame({"tuning": STUDY.parcels["tuning"]}).to_csv(tmp_path / "parcels.csv")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    bold, parcels = read_bold_folder(tmp_path)
    assert all(isinstance(of, np.memmap) for of in bold.values())
    study = replace(STUDY, bold=bold, parcels=parcels)
    assert all(isinstance(of, np.memmap) for of in study.bold.values())
    (found,) = score_subjects(study, SPLITS, FEATURES, 1)
    np.testing.assert_allclose(found.r, scored.r, atol=1e-4)
    np.testing.assert_allclose(found.ceiling, scored.ceiling, atol=1e-4)
    assert before == {file.name: file.read_bytes() for file in tmp_path.iterdir()}


def test_a_subject_with_masked_volumes_is_scored_on_the_others():
    bold = {name: of.copy() for name, of in STUDY.bold.items()}
    bold["sub-2"][350:] = bold["sub-2"][349]
    bold["sub-3"][:, 1] = np.nan
    with pytest.warns(UserWarning, match="masked by NaN"):
        study = replace(STUDY, bold=bold)
    (found,) = score_subjects(study, SPLITS, FEATURES, 1)
    assert np.isnan(found.r).sum() == 1
    assert np.isnan(found.r[2, 1])
    assert np.nanmean(found.r[1]) > 0.6
    np.testing.assert_allclose(found.ceiling, 1 / np.sqrt(2), atol=0.06)


def test_held_out_volumes_are_not_learned_from(scored):
    changed = {name: of.copy() for name, of in STUDY.bold.items()}
    for of in changed.values():
        of[SPLITS[0].test] += 10 * np.random.default_rng(1).normal(size=(100, 3))
    one = replace(STUDY, bold=changed)
    (found,) = score_subjects(one, SPLITS[:1], FEATURES, 1)
    (again,) = score_subjects(STUDY, SPLITS[:1], FEATURES, 1)
    assert np.abs(found.r).max() < 0.4 < again.r.min()


def test_features_may_differ_by_fold():
    one = FEATURES["drives"]
    by_fold = {"same": [one] * 4, "useless": [one, one, one, np.zeros_like(one)]}
    same, useless = score_subjects(STUDY, SPLITS, by_fold, 1)
    (plain,) = score_subjects(STUDY, SPLITS, {"plain": one}, 1)
    np.testing.assert_array_equal(same.r, plain.r)
    assert useless.r.mean() < same.r.mean() - 0.05


def test_one_subject_has_no_ceiling_and_none_is_refused():
    alone = replace(STUDY, bold={"sub-1": STUDY.bold["sub-1"]})
    (found,) = score_subjects(alone, SPLITS, FEATURES, 1)
    assert np.isnan(found.ceiling).all()
    with pytest.raises(StudyError, match="driven has no BOLD"):
        score_subjects(replace(STUDY, bold={}), SPLITS, FEATURES, 1)
    with pytest.raises(StudyError, match="needs at least two"):
        StreamedCeiling().single()


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_the_streamed_ceiling_is_that_of_split_halves(noise):
    study = order_study(n_trs=600, n_subjects=8, noise=noise)
    bold = {s: standardise_by_fold(of, [np.arange(600)]) for s, of in study.bold.items()}
    streamed = StreamedCeiling()
    for of in bold.values():
        streamed.add(of)
    np.testing.assert_allclose(streamed.group(), split_half_ceiling(bold), atol=0.02)
    single = split_half_ceiling(bold, scored_subjects=1)
    np.testing.assert_allclose(streamed.single(), single, atol=0.02)
    np.testing.assert_allclose(streamed.single(), 1 / np.sqrt(1 + noise**2), atol=0.04)


def test_the_streamed_reliability_is_cronbachs_alpha():
    rng = np.random.default_rng(0)
    items = rng.normal(size=(50, 1)) + rng.normal(size=(50, 6))
    items = (items - items.mean(0)) / items.std(0)
    streamed = StreamedCeiling()
    for one in items.T:
        streamed.add(one[:, None])
    variances = items.var(axis=0, ddof=1).sum()
    alpha = 6 / 5 * (1 - variances / items.sum(axis=1).var(ddof=1))
    assert streamed.group()[0] ** 2 == pytest.approx(alpha)
