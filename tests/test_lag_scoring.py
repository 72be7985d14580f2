"""The lag of BOLD is found run by run; a study that says another is warned of, noise is not."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from subtr.bold_scores import lag_rows
from subtr.clock import Clock
from subtr.study import Study

TR_S, N_TRS = 1.5, 400
RUNS = np.repeat([0, 1], N_TRS // 2)


def lagging(lags_trs, noise=1.0, seed=0, **more):
    """Two runs whose BOLD follows "events" by so many TRs each; one of five parcels answers."""
    rng = np.random.default_rng(seed)
    events, bold = rng.normal(size=(N_TRS, 1)), rng.normal(size=(N_TRS, 5)) * noise
    for run, lag in enumerate(lags_trs):
        (trs,) = np.nonzero(run == RUNS)
        bold[trs[lag:], 2] += events[trs[: len(trs) - lag], 0]
    parcels = pd.DataFrame({"tuning": list("abcde")}, index=list("abcde"))
    regressors = {"events": events, "other": rng.normal(size=(N_TRS, 1))}
    options = {"run_of_tr": RUNS, "bold_lag_s": 4.5, "regressors": regressors} | more
    return Study("planted", Clock(TR_S, N_TRS), bold={"s1": bold}, parcels=parcels, **options)


def values(rows, metric="lag of the peak_s"):
    return {row["group"]: row["value"] for row in rows if row["metric"] == metric}


def test_each_runs_lag_is_found_and_the_one_that_is_off_is_named():
    with pytest.warns(UserWarning, match="lag of 12 s, but about 4.5 s") as caught:
        rows = lag_rows(lagging([3, 8]), seed=0, floats_per_tr=1)
    assert values(rows) == {"run 0": 4.5, "run 1": 12.0}
    (warning,) = caught
    assert "planted, run 1, events" in str(warning.message)
    assert {row["ceiling"] for row in rows if row["metric"] == "lag of the peak_s"} == {4.5}
    assert {row["system"] for row in rows} == {"lag scan, events"}
    assert {row["floats_per_tr"] for row in rows} == {1}


def test_a_study_of_one_run_has_no_name_of_it_and_all_well_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = lag_rows(lagging([3, 3], run_of_tr=None))
    assert values(rows) == {"": 4.5}
    floors = [row["floor"] for row in rows if row["metric"] == "r at that lag"]
    assert values(rows, "r at that lag")[""] > 1.5 * floors[0]


def test_shifted_bold_that_lags_all_the_same_is_warned_of():
    with pytest.warns(UserWarning, match="lag of 4.5 s, but about 0 s"):
        lag_rows(lagging([3, 3], hrf_applied=True, bold_lag_s=0.0))


def test_noise_is_seldom_warned_of_and_its_floor_is_what_chance_reaches():
    above, warned = 0, 0
    for seed in range(60):
        study = lagging([0, 0], seed=seed, run_of_tr=None)
        noise = np.random.default_rng([seed, 9]).normal(size=(N_TRS, 5))
        study = replace(study, bold={"s1": noise}, regressors={"other": study.regressors["other"]})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rows = {row["metric"]: row for row in lag_rows(study)}
        above += rows["r at that lag"]["value"] > rows["r at that lag"]["floor"]
        warned += bool(caught)
    assert above <= 9  # 3 of 60 expected; more than 9 has a probability below 0.2 %
    assert warned <= above


def test_what_went_through_a_response_and_what_is_missing_says_nothing():
    study = lagging([3, 3])
    known = replace(study, regressors={"events": study.regressors["events"]}, convolved=("events",))
    assert lag_rows(known) == []
    assert lag_rows(replace(study, bold={}, regressors={})) == []
    short = np.r_[np.zeros(30, int), np.ones(N_TRS - 30, int)]
    assert set(values(lag_rows(replace(study, run_of_tr=short)))) == {"run 1"}
    constant = {"flat": np.ones((N_TRS, 1))}
    assert lag_rows(replace(study, regressors=constant)) == []
