"""A study refuses what does not fit together, and its splits do not leak."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from leaks import assert_fitted_on_train, assert_no_leak

from subtr.datasets.study import Study, folds_of
from subtr.params import SettingsError, StudyError, StudyWarning
from subtr.timeline import HRF_DURATION_S, Clock, Split, block_splits

PARCELS = pd.DataFrame({"tuning": ["A1", "V1"]}, index=["left", "right"])


def study(bold, n_trs=100, **options):
    return Study("toy", Clock(1.5, n_trs), bold={"s1": bold}, parcels=PARCELS, **options)


def noise(n_trs=100, n_parcels=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n_trs, n_parcels))


@pytest.mark.parametrize(("n_trs", "word"), [(90, "shorter"), (110, "longer")])
def test_bold_of_another_length_names_both_lengths(n_trs, word):
    with pytest.raises(StudyError, match=rf"{n_trs} TRs \({n_trs * 1.5:g} s\), {word}.*100 TRs"):
        study(noise(n_trs))


def test_wrong_tr_is_recognised_from_the_lengths():
    # 150 s of stimulus taken at TR 1.5 s, but 75 volumes: they were 2 s long.
    with pytest.raises(StudyError, match=r"the TR is 2 s"):
        study(noise(75))


def test_other_number_of_parcels_is_refused():
    with pytest.raises(StudyError, match="3 parcels, the parcel table 2"):
        study(noise(n_parcels=3))


def test_regressor_of_another_length_is_refused():
    with pytest.raises(StudyError, match="regressor words has 40 TRs"):
        study(noise(), regressors={"words": np.zeros((40, 1))})


def test_constant_parcel_is_masked_and_named():
    bold = noise()
    bold[:, 1] = 7.0
    with pytest.warns(StudyWarning, match=r"s1 has no variation in 1 of 2 parcels \(right\)"):
        made = study(bold)
    assert np.isnan(made.bold["s1"][:, 1]).all()
    np.testing.assert_array_equal(made.bold["s1"][:, 0], bold[:, 0])


def test_missing_volumes_are_masked_and_named():
    bold = noise()
    bold[3:5, 0] = np.nan
    bold[7, 0] = np.inf
    with pytest.warns(StudyWarning, match=r"missing \(NaN\) volumes in 1 of 2 parcels \(left\)"):
        made = study(bold)
    assert np.flatnonzero(np.isnan(made.bold["s1"][:, 0])).tolist() == [3, 4, 7]


def test_group_mean_leaves_masked_subjects_out():
    good, flat = noise(), np.ones((100, 2))
    with pytest.warns(StudyWarning):
        made = Study("toy", Clock(1.5, 100), bold={"a": good, "b": flat}, parcels=PARCELS)
    z = (good - good.mean(0)) / good.std(0)
    np.testing.assert_allclose(made.group_mean(), z)


@given(
    n_trs=st.integers(300, 900),
    tr_s=st.sampled_from([1.0, 1.49, 1.5, 2.0]),
    n_folds=st.integers(2, 8),
    gap_s=st.sampled_from([0.0, 16.0, 24.0]),
    validation_fraction=st.sampled_from([0.0, 0.1, 0.2]),
    n_runs=st.integers(1, 3),
)
def test_splits_never_leak_and_test_every_tr_once(
    n_trs, tr_s, n_folds, gap_s, validation_fraction, n_runs
):
    run_of_tr = np.arange(n_trs) * n_runs // n_trs
    splits = block_splits(run_of_tr, tr_s, n_folds, gap_s, validation_fraction)
    tested = np.concatenate([split.test for split in splits])
    assert tested.tolist() == list(range(n_trs))
    for split in splits:
        assert_no_leak(split, tr_s, gap_s, run_of_tr)
        assert len(split.validation) == round(validation_fraction * n_trs)
        # At most three gaps, one more pair where the blocks wrap around, are lost.
        lost = n_trs - len(split.train) - len(split.validation) - len(split.test)
        assert lost <= 4 * np.ceil(gap_s / tr_s)


def test_planted_split_without_gap_is_caught():
    leaky = Split(np.arange(0, 60), np.arange(80, 90), np.arange(60, 64))
    with pytest.raises(StudyError, match="leak: train TR 59 and test TR 60 are 0 s apart"):
        assert_no_leak(leaky, 1.5, HRF_DURATION_S)


def test_planted_shared_tr_is_caught_even_without_a_gap():
    shared = Split(np.arange(0, 61), np.arange(80, 90), np.arange(60, 64))
    with pytest.raises(StudyError, match="leak"):
        assert_no_leak(shared, 1.5, 0.0)


def test_planted_statistics_of_all_data_are_caught():
    def scaled_by_all(values, split):
        return (values - values.mean(0)) / values.std(0)

    def scaled_by_train(values, split):
        return (values - values[split.train].mean(0)) / values[split.train].std(0)

    split = study(noise(400), n_trs=400).splits()[2]
    assert_fitted_on_train(scaled_by_train, noise(400), split)
    with pytest.raises(StudyError, match="fitted on all data"):
        assert_fitted_on_train(scaled_by_all, noise(400), split)


def test_too_short_a_study_says_so():
    with pytest.raises(StudyError, match="nothing to train on"):
        study(noise(20), n_trs=20).splits(2)


@pytest.mark.parametrize(
    "options", [{"n_folds": 1}, {"gap_s": -1.0}, {"validation_fraction": 0.95}]
)
def test_impossible_splits_are_refused(options):
    with pytest.raises(SettingsError):
        study(noise()).splits(**options)


def test_folds_are_the_splits_with_their_study():
    made = study(noise(200), n_trs=200)
    folds = made.folds(4, drift_order=3)
    for fold, split in zip(folds, made.splits(4), strict=True):
        for part in ("train", "validation", "test"):
            np.testing.assert_array_equal(getattr(fold, part), getattr(split, part))
        assert fold.study is made
        assert fold.drift_order == 3
        assert_no_leak(fold.split, 1.5, HRF_DURATION_S)
        assert not set(fold.known) & set(fold.test)
        assert len(fold.known) == len(fold.train) + len(fold.validation)
        assert (np.diff(fold.known) > 0).all()
    np.testing.assert_array_equal(np.concatenate([fold.test for fold in folds]), np.arange(200))


def test_fold_with_another_seed_leaves_the_first_as_it_was():
    fold = study(noise(200), n_trs=200).folds(4)[1]
    other = fold.using(seed=7, label="again")
    assert (fold.seed, fold.label) == (0, "toy, fold 1")
    assert (other.seed, other.label) == (7, "again")
    assert other.split is fold.split
    assert "'again'" in repr(other)
    assert f"{len(fold.train)} train" in repr(other)
    with pytest.raises(TypeError, match="seeds"):
        fold.using(seeds=7)


def test_each_split_has_a_folder_of_its_own_and_all_share_the_rest(tmp_path):
    made = study(noise(200), n_trs=200)
    folds = folds_of(made, made.splits(2), tmp_path, "toy,", seed=3)
    assert [fold.folder for fold in folds] == [tmp_path / "fold0", tmp_path / "fold1"]
    assert [fold.label for fold in folds] == ["toy, fold 0", "toy, fold 1"]
    assert [fold.seed for fold in folds] == [3, 3]
    assert folds_of(made, made.splits(2))[0].folder is None
