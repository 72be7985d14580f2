"""One study under one parameter set: what is finished is read, what differs has its own place."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from leaks import assert_no_leak
from planted import order_study
from tiny_experiment import STUDY, SYSTEM, write

from subtr.experiments.data import Store, StudyParams
from subtr.experiments.experiment import Experiment
from subtr.experiments.results import COLUMNS
from subtr.params import SettingsError, StudyError, SubtrError
from subtr.timeline import HRF_DURATION_S
from subtr.training import fit as training


@pytest.fixture(autouse=True)
def lines(monkeypatch):
    monkeypatch.setenv("SUBTR_PROGRESS", "lines")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A parameter set and a folder for its runs."""
    folder = tmp_path_factory.mktemp("experiment")
    write(folder / "tiny", study_simulated=STUDY, system_small=SYSTEM)
    return folder


@pytest.fixture
def opened(place, _own_cache):
    return Experiment.open("simulated", str(place / "tiny"), runs=str(place / "runs"))


def scores(table):
    """The rows of a table that a repetition must give again."""
    return table[table["metric"] != "training time_s"].reset_index(drop=True)


def no_training(monkeypatch):
    def refuse(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(training, "_train", refuse)


def test_a_system_is_trained_scored_and_kept_once(opened, monkeypatch):
    table = opened.train("small")
    assert set(table["modality"]) == {"sound", "pictures", "bold"}
    assert list(table) == list(COLUMNS)
    labels = table[["study", "system", "seed"]].drop_duplicates()
    assert labels.to_numpy().tolist() == [["simulated", "small", 0]]
    assert {"r, own subject", "r, frames shuffled", "training time_s"} <= set(table["metric"])
    assert set(table.groupby("modality")["floats_per_tr"].first()) == {2, 3}
    no_training(monkeypatch)
    pd.testing.assert_frame_equal(opened.train("small"), table)
    again = Experiment(opened.study, opened.params, opened.folder, opened.params_folder)
    pd.testing.assert_frame_equal(scores(again.train("small")), scores(table))


def test_results_reconstructions_and_histories_are_read_back(opened):
    opened.train("small")
    assert set(opened.results()["system"]) >= {"small"}
    found = opened.reconstructions("sound")
    assert next(iter(found)) == "original"
    test = opened.splits[0].test
    assert opened.reconstruction_trs.tolist() == test.tolist()
    np.testing.assert_array_equal(found["original"], opened.study.mel[test])
    assert found["small 3"].shape == found["original"].shape
    assert opened.reconstructions("pictures")["small 2"].dtype == np.uint8
    assert opened.reconstructions("sound", seed=5).keys() == {"original"} | {
        name for name in found if not name.startswith("small")
    } - {"original"}
    history = opened.store.history("small")
    assert set(history["training"]) == {
        "small_3_seed0_sound", "small_2_seed0_pictures", "small_seed0_bold",
    }  # fmt: skip


def test_the_same_seed_gives_the_same_numbers_elsewhere_and_another_seed_does_not(opened, place):
    here = scores(opened.train("small"))
    other = Experiment.open("simulated", str(place / "tiny"), runs=str(place / "elsewhere"))
    pd.testing.assert_frame_equal(scores(other.train("small")), here)
    second = scores(opened.train("small", seed=1))
    assert set(second["seed"]) == {1}
    assert (second["value"] - here["value"]).abs().max() > 1e-4
    assert set(opened.results()["seed"]) == {0, 1}


def test_baselines_score_what_they_are_known_to_keep(opened):
    table = opened.baselines()
    kept = table[table["metric"] == "within-TR R²"].set_index(["modality", "system"])
    for modality in ("sound", "pictures"):
        for system in ("mean", "nearest"):  # both hold one frame for the whole TR
            assert kept.loc[(modality, system), "value"] == pytest.approx(0, abs=0.01)
    assert kept.loc[("sound", "round trip"), "value"] > 0.5
    bold = table[table["modality"] == "bold"]
    assert {"ridge, mean mel", "ridge, sound power", "ridge, onset flux"} <= set(bold["system"])
    assert "PCA 4" in opened.reconstructions("sound", seed=7)


@pytest.mark.parametrize(
    ("give", "message"),
    [
        ({"study": "simulate"}, r"study_simulate\.yaml does not exist.*'study_simulated'"),
        ({"params": "smok"}, r"params = 'smok'.*Did you mean 'smoke'"),
        ({"film": "/no/such/film.mp4"}, r"/no/such/film\.mp4: no such file"),
    ],
)
def test_a_wrong_name_is_refused_with_the_right_one(place, give, message, tmp_path):
    given = {"study": "simulated", "params": str(place / "tiny"), "runs": str(tmp_path)} | give
    with pytest.raises(SubtrError, match=message):
        Experiment.open(**given)


def test_an_unknown_system_and_one_with_nothing_to_do_are_named(opened, place):
    with pytest.raises(SettingsError, match=r"system = 'smal'.*Did you mean 'small'"):
        opened.train("smal")
    write(place / "tiny", system_empty={})
    with pytest.raises(SettingsError, match=r"empty_seed0: nothing to do.*sound, pictures or bold"):
        opened.train("empty")


def test_a_run_folder_that_cannot_be_written_stops_before_the_study_is_loaded(place, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SubtrError, match=r"cannot be written.*make run RUNS="):
        Experiment.open("simulated", str(place / "tiny"), runs=str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"load": {"tr_s": 1500}}, r"tr_s = 1500"),
        ({"load": {"duration": 90}}, r"duration: unknown key.*'duration_s'"),
        ({"n_fold": 3}, r"n_fold: unknown key.*'n_folds'"),
        ({"gap_s": -1}, r"gap_s = -1"),
    ],
)
def test_a_wrong_study_parameter_names_file_or_part_and_value(tmp_path, change, message):
    params = write(tmp_path / "params", study_simulated=STUDY | change)
    with pytest.raises(SettingsError, match=message):
        Experiment.open("simulated", params, runs=str(tmp_path / "runs"))


@pytest.mark.parametrize("bold", [True, False])
def test_the_gap_is_as_long_as_the_response_where_there_is_bold(bold):
    study = order_study() if bold else dataclasses.replace(order_study(), bold={})
    gap_s = HRF_DURATION_S if bold else 2 * study.clock.tr_s
    for split in StudyParams().splits(study):
        assert_no_leak(split, study.clock.tr_s, gap_s)
        with pytest.raises(StudyError, match="leak"):
            assert_no_leak(split, study.clock.tr_s, gap_s + study.clock.tr_s)


def test_sizes_that_are_no_longer_asked_for_are_forgotten(tmp_path):
    store = Store(tmp_path)
    for name, seed in (("small 3", 0), ("small 5", 0), ("small 5", 1), ("smaller 5", 0)):
        store.keep_windows(name, "sound", np.zeros((2, 2, 2), np.float32), seed)
        system, size = name.split()
        store.keep_history(f"{system}_{size}_seed{seed}_sound", pd.DataFrame({"epoch": [0]}))
    store.forget_other_sizes("small", 0, [3])
    assert set(store.windows("sound", 0)) == {"small 3", "smaller 5"}
    assert set(store.windows("sound", 1)) == {"small 5"}
    assert "small_5_seed0_sound" not in set(store.history()["training"])
