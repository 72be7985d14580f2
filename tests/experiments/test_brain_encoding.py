"""Predictors use what they should: order gains, slow stimuli lose the fast, parts sum."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from planted import order_study

from subtr.experiments.brain_encoding import (
    explained,
    held_out,
    parcel_gains,
    timescales,
    trained_folds,
)
from subtr.experiments.data import StudyParams
from subtr.experiments.experiment import Experiment
from subtr.models.batches import altered, with_context, without_fast_changes
from subtr.models.encoding_model import peak_time_map
from subtr.params import SettingsError
from subtr.viewing import bold as encoding

SYSTEM = """
bold:
  stream: {encoder: {name: linear, hidden_dim: 4}, aggregator: {name: linear}}
  readout: {vector_dim: 4}
  training: {max_epochs: 60, learning_rate: 1.0e-2}
"""
AVERAGING = SYSTEM.replace("{name: linear}}", "{name: mean}}")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoding")
    (folder / "system_ordered.yaml").write_text(SYSTEM)
    (folder / "system_averaging.yaml").write_text(AVERAGING)
    (folder / "system_silent.yaml").write_text("sound: {}\n")
    return Experiment(order_study(), StudyParams(n_folds=2, drift_order=0), folder / "run", folder)


@pytest.fixture(scope="module")
def folds(experiment):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBTR_PROGRESS", "none")
        return {name: trained_folds(experiment, name, 0) for name in ("ordered", "averaging")}


def test_parcels_of_order_gain_over_averages_and_others_do_not(experiment, folds):
    ours, theirs = (held_out(experiment, folds[name]) for name in ("ordered", "averaging"))
    table = parcel_gains(experiment, ours, theirs)
    assert table.index.equals(experiment.study.parcels.index)
    first = table.iloc[0]
    assert first["gain"] > 0.3
    assert first["low"] > 0
    assert first["q"] < 0.05
    assert (table["low"] <= table["gain"]).all()
    assert (table["gain"] <= table["high"]).all()
    same = parcel_gains(experiment, ours, ours)
    assert np.abs(same[["gain", "low", "high"]].to_numpy()).max() == 0
    assert isinstance(encoding.parcel_gains(table, "ordered", "averaging"), Figure)


def test_what_is_fast_is_lost_with_the_cut_off(experiment, folds):
    table = timescales(experiment, folds["ordered"], [0.05, 1e9])
    assert set(table["cutoff_hz"]) == {0.05, np.inf}  # beyond half the frame rate nothing is cut
    r = table.set_index(["cutoff_hz", "group"])["r"]
    group = experiment.study.parcels["tuning"].iloc[0]
    assert r[np.inf, group] > r[0.05, group] + 0.2
    assert isinstance(encoding.timescales(table), Figure)


def test_parts_of_variance_sum_to_what_all_explain(experiment, folds):
    table = explained(experiment, folds["ordered"], features=["mean mel"])
    assert set(table["part"]) == {
        "learned vectors alone",
        "mean mel alone",
        "learned vectors & mean mel",
    }
    group = experiment.study.parcels["tuning"].iloc[0]
    r2 = table[table["group"] == group].set_index("part")["r2"]
    assert r2["learned vectors alone"] > 0.3  # order, which no average holds
    assert r2["mean mel alone"] < 0.1
    assert isinstance(encoding.variance_parts(table), Figure)


def test_peak_times_and_places_are_drawn(experiment, folds):
    parcels = experiment.study.parcels
    table = peak_time_map(folds["ordered"][0].predictor, parcels)
    assert isinstance(encoding.peak_times(table), Figure)
    with pytest.raises(SettingsError, match="no column x_mm"):
        encoding.brain_map(parcels, np.zeros(len(parcels)), "gain")
    centres = pd.DataFrame({"x_mm": [-50.0, 50], "y_mm": [-20.0, -20], "z_mm": [5.0, np.nan]})
    drawn = encoding.brain_map(centres, np.array([0.2, 0.1]), "gain")
    assert isinstance(drawn, Figure)


def test_a_system_without_bold_is_refused(experiment):
    with pytest.raises(SettingsError, match="system = 'silent': expected one with bold"):
        trained_folds(experiment, "silent", 0)


@pytest.mark.parametrize("hz", [0.5, 4.0])
def test_a_cut_off_keeps_what_is_slower_in_its_place(hz):
    runs, tr_s, n_frames = np.repeat([0, 1], 30), 1.5, 24
    t = (np.arange(60 * n_frames) + 0.5) * tr_s / n_frames
    wave = np.sin(2 * np.pi * hz * t).reshape(60, n_frames, 1)
    inner = slice(5, 25)  # ends ring
    slow = without_fast_changes(wave, runs, tr_s, 2.0)[inner]
    expected = wave[inner] if hz < 2 else np.zeros_like(slow)
    np.testing.assert_allclose(slow, expected, atol=0.02)
    with pytest.raises(SettingsError, match="cutoff_hz = 8: expected more than 0 and less than 8"):
        without_fast_changes(wave, runs, tr_s, 8.0)


def test_context_follows_the_frames_that_it_repeats(experiment):
    study = experiment.study
    bare = torch.from_numpy(np.asarray(study.mel))
    found = altered(with_context(bare, 2, study.run_of_tr), study, lambda of: of + 1)
    torch.testing.assert_close(found, with_context(bare + 1, 2, study.run_of_tr))
