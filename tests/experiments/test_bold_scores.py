"""Planted BOLD scores what it must, and its lag is found; a statistic of all data is caught."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from leaks import assert_fitted_on_train
from planted import order_study

from subtr.bold.cleaning import Cleaner
from subtr.datasets.held_out import cleaned_bold, held_out_bold
from subtr.datasets.study import Study, folds_of
from subtr.experiments.bold_scores import (
    bold_rows,
    ceiling_rows,
    control_rows,
    lag_rows,
    subject_rows,
)
from subtr.experiments.brain_encoding import banded_prediction, partitioned
from subtr.metrics.bold import known_mean, pearson_r, scored_on, standardise_by_fold, standardised
from subtr.metrics.inference import wrong_subject_scores
from subtr.params import StudyError, StudyWarning
from subtr.timeline import Clock, Split

NOISE = 1.0
STUDY = order_study(n_trs=600, noise=NOISE, n_subjects=4)
SPLITS = STUDY.splits(5)
HELD_OUT = held_out_bold(STUDY, SPLITS, drift_order=1)
SIGNAL = STUDY.truth["group"]["signal"]


def by_group(rows, metric="r"):
    return {row["group"]: row for row in rows if row["metric"] == metric}


def test_the_true_signal_scores_what_the_noise_allows():
    # Signal of variance 1, noise of variance 1 / 4 in the mean of four subjects.
    expected = 1 / np.sqrt(1 + NOISE**2 / 4)
    rows = by_group(bold_rows(SIGNAL, HELD_OUT))
    assert list(rows) == ["", "rise", "fall"]
    for row in rows.values():
        assert row["value"] == pytest.approx(expected, abs=0.04)
        assert row["low"] < row["value"] < row["high"]
        assert row["ceiling"] == pytest.approx(expected, abs=0.06)
    shares = by_group(bold_rows(SIGNAL, HELD_OUT), "r / ceiling")
    for row in shares.values():
        assert row["value"] == pytest.approx(1, abs=0.06)
        assert row["ceiling"] == 1.0


def test_noise_stays_at_the_floor_and_the_truth_is_far_above_it():
    noise = np.random.default_rng(1).normal(size=SIGNAL.shape)
    row = by_group(bold_rows(noise, HELD_OUT))[""]
    assert abs(row["value"]) < 0.15
    true = by_group(bold_rows(SIGNAL, HELD_OUT))[""]
    # Both floors are what shifted series reach by chance.
    assert 0 < row["floor"] < 0.2
    assert true["floor"] < 0.5 < true["value"]


def test_a_prediction_moved_in_time_by_a_minute_is_worth_no_more_than_its_floor():
    row = by_group(bold_rows(np.roll(SIGNAL, 30, axis=0), HELD_OUT))[""]
    assert row["value"] < row["floor"] + 0.1


def test_scale_and_offset_of_each_fold_do_not_matter():
    moved = SIGNAL.copy()
    for index, split in enumerate(SPLITS):
        moved[split.test] = (index + 1) * moved[split.test] + 10 * index
    plain, other = (by_group(bold_rows(of, HELD_OUT))[""]["value"] for of in (SIGNAL, moved))
    assert other == pytest.approx(plain, abs=1e-9)


def test_a_masked_parcel_is_left_out_of_the_mean_not_counted_as_0():
    bold = {subject: of.copy() for subject, of in STUDY.bold.items()}
    for of in bold.values():
        of[:, 1] = np.nan
    with pytest.warns(UserWarning, match="masked by NaN"):
        study = replace(STUDY, bold=bold)
    rows = by_group(bold_rows(SIGNAL, held_out_bold(study, SPLITS, 1)))
    whole = by_group(bold_rows(SIGNAL, HELD_OUT))
    assert rows["rise"]["value"] == pytest.approx(whole["rise"]["value"], abs=0.05)
    assert np.isfinite(rows[""]["value"])


def test_one_subject_has_a_score_and_no_ceiling():
    alone = replace(STUDY, bold={"s1": STUDY.bold["s1"]})
    rows = bold_rows(SIGNAL, held_out_bold(alone, SPLITS, 1))
    assert np.isnan(by_group(rows)[""]["ceiling"])
    assert by_group(rows, "r / ceiling") == {}
    assert by_group(rows)[""]["value"] == pytest.approx(1 / np.sqrt(2), abs=0.05)


def test_what_is_never_tested_is_unknown():
    some = held_out_bold(STUDY, SPLITS[:2], 1)
    tested = np.concatenate([split.test for split in SPLITS[:2]])
    others = np.setdiff1d(np.arange(600), tested)
    assert np.isnan(some.mean[others]).all()
    assert np.isfinite(some.mean[tested]).all()
    for bold in some.subjects.values():
        assert np.isnan(bold[others]).all()


def test_drift_goes_and_its_fit_stays_within_training():
    drifting = {s: of + np.linspace(-20, 20, 600)[:, None] for s, of in STUDY.bold.items()}
    study = replace(STUDY, bold=drifting)
    subjects, mean = cleaned_bold(study, SPLITS[2], drift_order=1)
    for values in (*subjects.values(), mean):
        known = values[SPLITS[2].train]
        np.testing.assert_allclose(known.mean(0), 0, atol=1e-9)
        np.testing.assert_allclose(known.std(0), 1, atol=1e-9)
    plain = by_group(bold_rows(SIGNAL, HELD_OUT))[""]["value"]
    cleaned = by_group(bold_rows(SIGNAL, held_out_bold(study, SPLITS, 1)))[""]["value"]
    assert cleaned == pytest.approx(plain, abs=0.02)


def test_cleaning_by_all_data_is_caught_and_ours_passes():
    def ours(values, split):
        return cleaned_bold(replace(STUDY, bold={"s": values}), split, 2)[0]["s"]

    def leaky(values, split):
        return Cleaner(2.0, 2).fit(values, np.arange(600)).transform(values)

    assert_fitted_on_train(ours, STUDY.bold["s1"], SPLITS[1])
    with pytest.raises(StudyError, match=r"leak: .*fitted on all data"):
        assert_fitted_on_train(leaky, STUDY.bold["s1"], SPLITS[1])


def test_every_score_says_what_chance_and_ceiling_are():
    rows = bold_rows(SIGNAL, HELD_OUT, system="truth")
    p, q = by_group(rows, "p (shift)"), by_group(rows, "q (FDR)")
    assert list(p) == ["", "A", "B", "C"]
    assert list(q) == ["A", "B", "C"]
    assert max(row["value"] for row in (*p.values(), *q.values())) < 0.01
    noise = bold_rows(np.random.default_rng(3).normal(size=SIGNAL.shape), HELD_OUT)
    assert by_group(noise, "p (shift)")[""]["value"] > 0.05
    told = by_group(rows, "identification (pairwise)")[""]
    assert told["floor"] < 0.7 < 0.95 < told["low"] <= told["value"]
    assert by_group(rows, "identification (pairwise) p")[""]["value"] < 0.02
    assert by_group(rows, "pattern r")[""]["low"] > 0.5
    assert by_group(rows, "representational similarity")[""]["low"] > 0.2
    assert {row["system"] for row in rows} == {"truth"}


def test_a_prediction_alike_in_all_parcels_has_no_pattern():
    alike = np.repeat(SIGNAL[:, :1], 3, axis=1)
    alike[SPLITS[0].test[:3], 1] *= -1
    assert by_group(bold_rows(alike, HELD_OUT), "pattern r") == {}


def test_r2_takes_a_prediction_at_its_word():
    """The truth at the scale of z-scored BOLD explains its share; ten times as large, nothing."""
    share = by_group(bold_rows(SIGNAL, HELD_OUT, SIGNAL * 0.9), "R2")[""]
    assert share["value"] == pytest.approx(share["ceiling"], abs=0.06)
    assert (share["floor"], share["low"] < share["value"] < share["high"]) == (0.0, True)
    assert by_group(bold_rows(SIGNAL, HELD_OUT, SIGNAL * 9), "R2")[""]["value"] < -10
    nothing = bold_rows(SIGNAL, HELD_OUT, np.zeros_like(SIGNAL))
    assert by_group(nothing, "R2")[""]["value"] == pytest.approx(0, abs=1e-9)
    assert by_group(bold_rows(SIGNAL, HELD_OUT), "R2") == {}


def test_r2_gives_no_credit_for_the_level_of_a_block():
    """Drift that is extrapolated moves blocks as wholes; who knows how far knows nothing else."""
    drifting = {s: of + np.linspace(-9, 9, 600)[:, None] ** 2 for s, of in STUDY.bold.items()}
    held_out = held_out_bold(replace(STUDY, bold=drifting), SPLITS, 1)
    level = np.full(SIGNAL.shape, np.nan)
    for split in SPLITS:
        level[split.test] = held_out.mean_z[split.test].mean(0)
    assert (np.abs(level).max(0) > 1).all()
    assert by_group(bold_rows(SIGNAL, held_out, level), "R2")[""]["value"] == pytest.approx(0)
    for group, row in by_group(bold_rows(SIGNAL, held_out, SIGNAL), "R2").items():
        assert row["value"] <= by_group(bold_rows(SIGNAL, held_out))[group]["value"] ** 2 + 0.01


def test_ceilings_have_rows_with_intervals_by_group():
    rows = ceiling_rows(HELD_OUT, system="noise ceiling")
    expected = {"split-half ceiling": 1 / np.sqrt(1 + NOISE**2 / 4)}
    expected["inter-subject ceiling"] = np.sqrt(0.5 * 3 / 4)
    for metric, truth in expected.items():
        found = by_group(rows, metric)
        assert list(found) == ["", "rise", "fall"]
        for row in found.values():
            assert row["low"] < row["value"] < row["high"]
            assert row["value"] == pytest.approx(truth, abs=0.05)
    alone = replace(STUDY, bold={"s1": STUDY.bold["s1"]})
    assert ceiling_rows(held_out_bold(alone, SPLITS, 1)) == []


def own_subjects(strength):
    """A study whose subjects share a signal and have one of their own, and their predictions."""
    rng = np.random.default_rng(5)
    own = {s: strength * rng.normal(size=SIGNAL.shape) for s in STUDY.bold}
    bold = {s: SIGNAL + own[s] + 0.3 * rng.normal(size=SIGNAL.shape) for s in own}
    return replace(STUDY, bold=bold), {s: SIGNAL + own[s] for s in own}


def test_heads_earn_their_keep_only_where_subjects_differ():
    values = {}
    for strength in (0.0, 1.0):
        study, predictions = own_subjects(strength)
        predictions["frames shuffled"] = np.random.default_rng(9).normal(size=SIGNAL.shape)
        rows = control_rows(predictions, held_out_bold(study, SPLITS, 1), system="a")
        values[strength] = {row["metric"]: row["value"] for row in rows}
        assert {row["modality"] for row in rows} == {"bold"}
    alike, apart = values[0.0], values[1.0]
    assert alike["r, own subject"] == pytest.approx(alike["r, wrong subject"], abs=0.02)
    assert apart["r, own subject"] > 0.9 > 0.6 > apart["r, wrong subject"]
    assert apart["p, own against wrong subject"] < 0.1 < alike["p, own against wrong subject"]
    assert abs(apart["r, frames shuffled"]) < 0.15


def test_without_heads_only_the_order_of_frames_is_controlled():
    rows = control_rows({"mean": SIGNAL, "frames shuffled": SIGNAL}, HELD_OUT)
    assert [row["metric"] for row in rows] == ["r, frames shuffled", "r, single subjects"]
    assert rows[0]["value"] > 0.8
    # One subject has all of the noise, the mean of four a quarter of it.
    assert rows[1]["value"] == pytest.approx(1 / np.sqrt(1 + NOISE**2), abs=0.04)
    assert rows[1]["low"] < rows[1]["value"] < rows[1]["high"]


def cut_short(shared=False, splits=SPLITS):
    """The study without the last 30 volumes of each test block, of s1 alone or of all subjects."""
    bold = {subject: of.copy() for subject, of in STUDY.bold.items()}
    for subject in bold if shared else ("s1",):
        for split in splits:
            bold[subject][split.test[-30:]] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StudyWarning)
        study = replace(STUDY, bold=bold)
    return held_out_bold(study, SPLITS, 1)


def off_at_the_end(prediction, splits=SPLITS):
    """What is predicted of the missing volumes is far off, which no score may know."""
    off = prediction.copy()
    for split in splits:
        off[split.test[-30:]] += 40.0
    return off


def rows_by_metric(rows):
    return {(row["metric"], row.get("group")): row for row in rows}


def test_every_score_is_blind_to_what_is_predicted_of_missing_volumes():
    held_out = cut_short(shared=True)
    off = off_at_the_end(SIGNAL)
    # Masked after it is standardised, the prediction would hold next to nothing.
    after = np.where(np.isfinite(held_out.mean), standardise_by_fold(off, held_out.tests), np.nan)
    before = held_out.scored(off)
    assert known_mean(pearson_r(before, held_out.mean)) > 0.85
    np.testing.assert_allclose(before, held_out.scored(SIGNAL))
    assert np.nanstd(after) < 0.3 < 0.99 < np.nanstd(before)
    # Where blocks differ in what they miss, they would count unequally in r.
    held_out, off = cut_short(True, SPLITS[:2]), off_at_the_end(SIGNAL, SPLITS[:2])
    after = np.where(np.isfinite(held_out.mean), standardise_by_fold(off, held_out.tests), np.nan)
    r = [known_mean(pearson_r(of, held_out.mean)) for of in (after, held_out.scored(off))]
    assert r[0] < r[1] - 0.05
    assert by_group(bold_rows(off, held_out))[""]["value"] == pytest.approx(r[1], abs=1e-9)


@pytest.mark.parametrize("shared", [True, False])
def test_controls_are_scored_on_the_volumes_that_r_is(shared):
    held_out = cut_short(shared)
    noisy = {s: SIGNAL + np.random.default_rng(7).normal(size=SIGNAL.shape) for s in STUDY.bold}
    names = ["mean", "frames shuffled", "phases randomised"]
    predictions = dict.fromkeys(names, SIGNAL) | noisy
    plain = rows_by_metric(control_rows(predictions, held_out))
    if not shared:  # what is known of s1's missing volumes matters to the others alone
        predictions["s1"] = off_at_the_end(noisy["s1"])
        right = wrong_subject_scores(
            {s: predictions[s] for s in noisy}, held_out.subjects, held_out.tests
        )[0]
        both = scored_on(noisy["s1"], held_out.subjects["s1"], held_out.tests)
        np.testing.assert_allclose(right[0], pearson_r(both, held_out.subjects["s1"]), atol=1e-9)
        return
    off = {name: off_at_the_end(of) for name, of in predictions.items()}
    found = rows_by_metric(control_rows(off, held_out))
    assert len(found) == 6
    for key, row in found.items():
        assert row["value"] == pytest.approx(plain[key]["value"], abs=1e-9), key
    r = by_group(bold_rows(SIGNAL, held_out))[""]["value"]
    assert found["r, frames shuffled", None]["value"] == pytest.approx(r, abs=1e-9)


def test_subjects_and_r2_are_scored_on_the_volumes_that_are_known():
    held_out = cut_short(shared=True)
    values = {}
    for name, prediction in (("plain", SIGNAL), ("off", off_at_the_end(SIGNAL))):
        subjects = subject_rows(dict.fromkeys(held_out.subjects, prediction), held_out)
        mean = bold_rows(prediction, held_out, prediction)
        wanted = [row for row in mean if row["metric"] in ("r", "R2", "r / ceiling")]
        values[name] = [row["value"] for row in (*wanted, *subjects)]
    np.testing.assert_allclose(values["off"], values["plain"], atol=1e-9)


def test_parts_of_variance_sum_to_the_r2_of_the_rows():
    """Both set the level of a test block aside, which drift that is extrapolated moves."""
    drifting = {s: of + np.linspace(-9, 9, 600)[:, None] ** 2 for s, of in STUDY.bold.items()}
    study = replace(STUDY, bold=drifting)
    spaces = {"signal": SIGNAL[:, :1], "noise": np.random.default_rng(8).normal(size=(600, 1))}
    folds = folds_of(study, SPLITS, drift_order=1)
    parts = partitioned(folds, spaces, fir_s=0.0)
    held_out = held_out_bold(study, SPLITS, 1)
    prediction = banded_prediction(folds, spaces, fir_s=0.0)
    row = by_group(bold_rows(prediction, held_out, prediction), "R2")[""]
    assert np.mean(sum(parts.values())) == pytest.approx(row["value"], abs=1e-9)


def test_splits_of_held_out_bold_may_not_overlap():
    twice = [SPLITS[0], Split(SPLITS[1].train, SPLITS[1].validation, SPLITS[0].test)]
    with pytest.raises(ValueError, match="two test blocks"):
        held_out_bold(STUDY, twice, 1)


LAG_TR_S, N_LAG_TRS = 1.5, 400
RUNS = np.repeat([0, 1], N_LAG_TRS // 2)


def lagging(lags_trs, noise=1.0, seed=0, **more):
    """Two runs whose BOLD follows "events" by so many TRs each; one of five parcels answers."""
    rng = np.random.default_rng(seed)
    events, bold = rng.normal(size=(N_LAG_TRS, 1)), rng.normal(size=(N_LAG_TRS, 5)) * noise
    for run, lag in enumerate(lags_trs):
        (trs,) = np.nonzero(run == RUNS)
        bold[trs[lag:], 2] += events[trs[: len(trs) - lag], 0]
    parcels = pd.DataFrame({"tuning": list("abcde")}, index=list("abcde"))
    regressors = {"events": events, "other": rng.normal(size=(N_LAG_TRS, 1))}
    options = {"run_of_tr": RUNS, "bold_lag_s": 4.5, "regressors": regressors} | more
    return Study(
        "planted", Clock(LAG_TR_S, N_LAG_TRS), bold={"s1": bold}, parcels=parcels, **options
    )


def by_run(rows, metric="lag of the peak_s"):
    return {row["group"]: row["value"] for row in rows if row["metric"] == metric}


def test_each_runs_lag_is_found_and_the_one_that_is_off_is_named():
    with pytest.warns(UserWarning, match="lag of 12 s, but about 4.5 s") as caught:
        rows = lag_rows(lagging([3, 8]), seed=0, floats_per_tr=1)
    assert by_run(rows) == {"run 0": 4.5, "run 1": 12.0}
    (warning,) = caught
    assert "planted, run 1, events" in str(warning.message)
    assert {row["ceiling"] for row in rows if row["metric"] == "lag of the peak_s"} == {4.5}
    assert {row["system"] for row in rows} == {"lag scan, events"}
    assert {row["floats_per_tr"] for row in rows} == {1}


def test_a_study_of_one_run_has_no_name_of_it_and_all_well_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = lag_rows(lagging([3, 3], run_of_tr=None))
    assert by_run(rows) == {"": 4.5}
    floors = [row["floor"] for row in rows if row["metric"] == "r at that lag"]
    assert by_run(rows, "r at that lag")[""] > 1.5 * floors[0]


def test_shifted_bold_that_lags_all_the_same_is_warned_of():
    with pytest.warns(UserWarning, match="lag of 4.5 s, but about 0 s"):
        lag_rows(lagging([3, 3], hrf_applied=True, bold_lag_s=0.0))


def test_noise_is_seldom_warned_of_and_its_floor_is_what_chance_reaches():
    above, warned = 0, 0
    for seed in range(60):
        study = lagging([0, 0], seed=seed, run_of_tr=None)
        noise = np.random.default_rng([seed, 9]).normal(size=(N_LAG_TRS, 5))
        study = replace(study, bold={"s1": noise}, regressors={"other": study.regressors["other"]})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rows = {row["metric"]: row for row in lag_rows(study)}
        above += rows["r at that lag"]["value"] > rows["r at that lag"]["floor"]
        warned += bool(caught)
    assert above <= 9  # 3 of 60 expected; more than 9 has a probability below 0.2 %
    assert warned <= above


def test_the_floor_of_a_scan_is_that_of_shifts_of_what_is_known():
    rng = np.random.default_rng(11)
    feature, bold = rng.normal(size=N_LAG_TRS), rng.normal(size=(N_LAG_TRS, 2)) + 30
    bold[100:300, 0] = np.nan
    feature[50:90] += 5  # what is known has another mean and deviation than the whole
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = lagging([3, 3], regressors={"events": feature[:, None]}, run_of_tr=None)
        parcels = study.parcels.iloc[:2]
        floor = lag_rows(replace(study, bold={"s1": bold}, parcels=parcels))[1]["floor"]
    lags = np.arange(-5, 12)

    def followed(shift, missing_as_mean):
        moved = np.roll(feature, shift)
        if missing_as_mean:
            r = (np.nan_to_num(standardised(bold)) * standardised(moved[:, None])).mean(0)
        else:
            r = pearson_r(np.stack([moved] * 2, 1), bold)
        return np.sqrt((np.maximum(r, 0) ** 2).mean())

    def percentile(missing_as_mean):
        each = np.array([followed(shift, missing_as_mean) for shift in range(N_LAG_TRS)])
        shifts = np.arange(len(lags), N_LAG_TRS - len(lags))
        return np.percentile(each[(shifts[:, None] + lags) % N_LAG_TRS].max(1), 95)

    assert floor == pytest.approx(percentile(False), abs=1e-9)
    assert abs(percentile(True) - floor) > 0.01


def test_what_went_through_a_response_and_what_is_missing_says_nothing():
    study = lagging([3, 3])
    known = replace(study, regressors={"events": study.regressors["events"]}, convolved=("events",))
    assert lag_rows(known) == []
    assert lag_rows(replace(study, bold={}, regressors={})) == []
    short = np.r_[np.zeros(30, int), np.ones(N_LAG_TRS - 30, int)]
    assert set(by_run(lag_rows(replace(study, run_of_tr=short)))) == {"run 1"}
    constant = {"flat": np.ones((N_LAG_TRS, 1))}
    assert lag_rows(replace(study, regressors=constant)) == []
