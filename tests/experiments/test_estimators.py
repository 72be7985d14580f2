"""Estimators keep scikit-learn's conventions; no score comes from TRs that were learned from."""

import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import subtr as st
from subtr.datasets.held_out import cleaned_bold
from subtr.params import SettingsError

ALL = [st.TemporalAutoencoder, st.EncodingModel, st.FIRRidge, st.BandedRidge, st.PCA, st.Averaging]


@pytest.fixture(scope="module")
def fold():
    options = {"duration_s": 180, "n_subjects": 2, "frames_per_tr": 16, "mel": {"n_mels": 24}}
    return st.load_study("simulated", options).folds(2, gap_s=16.0)[0]


@pytest.mark.parametrize("kind", ALL)
def test_options_are_kept_as_given_and_copied(kind):
    made = kind()
    given = made.get_params()
    assert given
    assert clone(made).get_params() == given
    with pytest.raises(NotFittedError):
        made.score()


def test_averaging_scores_nothing_within_the_tr(fold):
    rows = st.Averaging().fit(fold).score(fold).set_index("metric")
    assert rows["value"].iloc[0] == pytest.approx(0, abs=1e-9)


def test_pca_keeps_more_from_more_numbers(fold):
    audio = fold.study.audio[fold.test]
    kept = [
        st.within_tr_r2(audio, st.PCA(size).fit(fold).reconstruct(fold.test)) for size in (4, 32)
    ]
    assert 0 < kept[0] < kept[1] < 1


def test_a_ridge_given_the_bold_itself_reaches_the_ceiling(fold):
    _, mean = cleaned_bold(fold.study, fold.split, fold.drift_order)
    rows = st.FIRRidge(mean, fir_s=0.0).fit(fold).score(fold)
    r = rows[(rows["metric"] == "r") & (rows["group"] == "")].iloc[0]
    assert r["value"] > 0.9 > r["floor"]


def test_test_trs_of_another_fold_were_learned_from(fold):
    other = fold.study.folds(2, gap_s=16.0)[1]
    with pytest.raises(SettingsError, match="were learned from"):
        st.Averaging().fit(fold).score(other)


def test_a_misspelt_feature_or_encoder_is_named(fold):
    with pytest.raises(SettingsError, match="Did you mean 'sound power'"):
        st.FIRRidge("sound powr").fit(fold)
    with pytest.raises(SettingsError, match="Did you mean 'multiscale'"):
        st.EncodingModel("multiscal").fit(fold)
