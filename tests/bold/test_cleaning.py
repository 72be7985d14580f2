"""Cleaning removes planted drift and motion, and knows nothing of held-out volumes."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from leaks import assert_fitted_on_train
from planted import order_study

from subtr.bold.cleaning import LEAST_HELD_TRS, Cleaner, held_at_the_end, spans
from subtr.datasets.held_out import cleaned_bold, held_out_bold
from subtr.datasets.study import Study
from subtr.experiments.bold_scores import bold_rows
from subtr.params import SettingsError, StudyError, StudyWarning
from subtr.timeline import Clock, block_splits
from subtr.training.losses import bold_loss

N_TRS = 400
SPLIT = block_splits(np.zeros(N_TRS, np.int64), 1.5)[2]


def planted(seed=0):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(N_TRS, 3))
    motion = rng.normal(size=(N_TRS, 6)).cumsum(0) * 0.1
    time = np.linspace(-1, 1, N_TRS)[:, None]
    bold = 500 + 20 * time + 10 * time**2 + motion @ rng.normal(size=(6, 3)) * 5 + signal
    return signal, motion, bold


def test_held_out_signal_comes_back_from_under_drift_and_motion():
    signal, motion, bold = planted()
    clean = Cleaner(1.5, 2, motion).fit(bold, SPLIT.train).transform(bold)
    for parcel in range(3):
        r = np.corrcoef(clean[SPLIT.test, parcel], signal[SPLIT.test, parcel])[0, 1]
        assert r > 0.95


def test_training_volumes_have_mean_0_variance_1_and_no_drift_left():
    _, motion, bold = planted()
    train = Cleaner(1.5, 2, motion).fit(bold, SPLIT.train).transform(bold)[SPLIT.train]
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(train.std(0), 1, atol=1e-9)
    np.testing.assert_allclose(motion[SPLIT.train].T @ train, 0, atol=1e-7)


def test_no_statistic_comes_from_held_out_volumes():
    _, _, bold = planted()

    def clean(values, split):
        return Cleaner(1.5).fit(values, split.train).transform(values)

    assert_fitted_on_train(clean, bold, SPLIT)


def test_missing_and_constant_values_stay_out():
    _, _, bold = planted()
    bold[5, 0], bold[:, 1] = np.nan, 3.0
    cleaner = Cleaner(1.5, 0).fit(bold, SPLIT.train)
    clean = cleaner.transform(bold)
    known = np.setdiff1d(SPLIT.train, [5])
    expected = (bold[:, 0] - bold[known, 0].mean()) / bold[known, 0].std()
    np.testing.assert_allclose(clean[:, 0], expected)
    assert np.isnan(clean[:, 1]).all()
    assert cleaner.usable.tolist() == [True, False, True]


def test_wrong_input_is_refused():
    with pytest.raises(SettingsError):
        Cleaner(1.5, -1)
    with pytest.raises(StudyError, match="confounds have 10 TRs"):
        Cleaner(1.5, 1, np.zeros((10, 6))).fit(np.zeros((20, 2)), np.arange(20))


# What cannot be used is masked where it is, no further, and named; the rest trains and scores.


PARCELS = pd.DataFrame({"tuning": ["A1", "V1"]}, index=["left", "right"])


def noise(n_trs=100, seed=0):
    return np.random.default_rng(seed).normal(size=(n_trs, 2))


def made(bold, run_of_tr=None, **options):
    n_trs = len(next(iter(bold.values())))
    return Study(
        "toy", Clock(1.5, n_trs), bold=bold, parcels=PARCELS, run_of_tr=run_of_tr, **options
    )


def test_a_scan_that_was_cut_short_is_masked_where_it_was_filled_up():
    cut = noise()
    cut[80:] = cut[79]
    with pytest.warns(StudyWarning, match=r"s5 stays at its last .* run 0, TRs 80 to 99, in 2 of"):
        study = made({"s4": noise(seed=1), "s5": cut})
    assert np.isnan(study.bold["s5"][80:]).all()
    np.testing.assert_array_equal(study.bold["s5"][:80], cut[:80])
    assert np.isfinite(study.bold["s4"]).all()
    assert any("s5 stays at its last value" in note for note in study.notes)


def test_each_run_has_an_end_of_its_own():
    bold, runs = noise(), np.repeat([0, 1], 50)
    bold[40:50, 1] = bold[39, 1]
    bold[60:70] = bold[59]  # in the middle of a run: odd, but measured
    with pytest.warns(StudyWarning, match=r"run 0, TRs 40 to 49, in 1 of 2 parcels \(right\)"):
        study = made({"s": bold}, runs)
    masked = np.isnan(study.bold["s"])
    assert np.flatnonzero(masked[:, 1]).tolist() == list(range(40, 50))
    assert not masked[:, 0].any()


@given(n_held=st.integers(0, 30), n_runs=st.integers(1, 3))
def test_held_volumes_are_those_that_repeat_and_only_so_many(n_held, n_runs):
    runs = np.arange(90) * n_runs // 90
    bold, last = noise(90), np.flatnonzero(runs == 0)[-1]
    n_held = min(n_held, last)
    if n_held:
        bold[last - n_held + 1 : last + 1] = bold[last - n_held]
    found = held_at_the_end(bold, runs)
    expected = n_held if n_held >= LEAST_HELD_TRS else 0
    assert found.sum(axis=0).tolist() == [expected] * 2
    assert not found[last + 1 :].any()


def test_a_subject_of_whom_nothing_remains_is_left_out_and_named():
    with pytest.warns(StudyWarning, match="s33 has no usable volume in any parcel: left out"):
        study = made({"s1": noise(), "s33": np.full((100, 2), 3.0)})
    assert study.subjects == ["s1"]
    assert any("s33" in note and "left out" in note for note in study.notes)
    with (
        pytest.warns(StudyWarning),
        pytest.raises(StudyError, match="BOLD of all 1 subjects is constant or missing"),
    ):
        made({"s33": np.full((100, 2), np.nan)})


def test_missing_volumes_are_named_by_their_trs_and_once():
    bold = noise()
    bold[[3, 4, 9]] = np.nan
    with pytest.warns(StudyWarning, match="TRs 3 to 4, 9"):
        study = made({"s": bold})
    with warnings.catch_warnings():
        warnings.simplefilter("error", StudyWarning)
        again = made(study.bold, notes=study.notes)
    assert again.notes == study.notes
    assert spans(np.arange(0, 40, 2)).endswith("10, ...")


def test_bold_without_a_flaw_is_not_copied(tmp_path):
    np.save(tmp_path / "s.npy", noise())
    on_disk = np.load(tmp_path / "s.npy", mmap_mode="r")
    assert made({"s": on_disk}).bold["s"] is on_disk


def test_masked_volumes_alone_are_left_out_of_cleaning():
    bold, train = noise(), np.arange(60)
    bold[20:30, 0] = np.nan
    other = bold.copy()
    both = Cleaner(1.5, 1).fit(bold, train)
    known = np.setdiff1d(train, np.arange(20, 30))
    design = np.polynomial.legendre.legvander(np.linspace(-1, 1, 100), 1)
    line = np.linalg.lstsq(design[known], bold[known, 0], rcond=None)[0]
    deviation = (bold[known, 0] - design[known] @ line).std()
    expected = (bold[:, 0] - design @ line) / deviation
    np.testing.assert_allclose(both.transform(bold)[:, 0], expected)
    # The parcel that misses nothing does not feel it.
    other[:, 0] = noise(seed=5)[:, 0]
    np.testing.assert_allclose(
        Cleaner(1.5, 1).fit(other, train).transform(other)[:, 1], both.transform(bold)[:, 1]
    )


def cut_short(n_held=40):
    study = order_study(n_trs=400, noise=0.5, n_subjects=3)
    bold = {name: of.copy() for name, of in study.bold.items()}
    bold["s2"][-n_held:] = bold["s2"][-n_held - 1]
    with pytest.warns(StudyWarning, match="s2 stays"):
        return study, made_like(study, bold)


def made_like(study, bold):
    return Study(study.name, study.clock, mel=study.mel, bold=bold, parcels=study.parcels)


def test_where_one_subject_is_masked_the_mean_is_that_of_the_others():
    study, masked = cut_short()
    split = study.splits(4)[0]
    each, mean = cleaned_bold(masked, split, 1)
    assert np.isnan(each["s2"][-40:]).all()
    assert np.isfinite(each["s2"][:-40]).all()
    assert np.isfinite(mean).all()
    others = (each["s1"] + each["s3"]) / 2
    assert np.corrcoef(mean[-40:, 0], others[-40:, 0])[0, 1] > 1 - 1e-9


def test_masked_volumes_do_not_touch_a_score():
    study, masked = cut_short()
    splits = study.splits(4)
    signal, bold = study.truth["group"]["signal"].copy(), held_out_bold(masked, splits, 1)
    alone = type(bold)(
        bold.subjects["s2"], bold.subjects, bold.ceiling, bold.tests, bold.groups, bold.tr_s
    )
    before = bold_rows(signal, alone)[0]["value"]
    signal[-40:] = 100.0
    assert bold_rows(signal, alone)[0]["value"] == pytest.approx(before, abs=1e-9)
    assert before > 0.8


@pytest.mark.parametrize("kind", ["correlation", "mse"])
def test_gradients_are_finite_where_a_parcel_has_one_volume_or_none(kind):
    torch.manual_seed(0)
    predicted = torch.randn(2, 20, 3, requires_grad=True)
    bold = torch.randn(2, 20, 3)
    bold[..., 0] = torch.nan
    bold[:, :, 1] = torch.nan
    bold[0, 4, 1] = 1.0
    bold[1, 10:, 2] = torch.nan
    loss, _ = bold_loss({"s": predicted}, {"s": bold}, kind)
    loss.backward()
    assert torch.isfinite(predicted.grad).all()
    assert (predicted.grad[..., 0] == 0).all()
    assert (predicted.grad[1, 10:, 2] == 0).all()
    assert (predicted.grad[0, :, 2] != 0).all()
