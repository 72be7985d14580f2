import errno
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from subtr import params
from subtr.experiments import results as module
from subtr.experiments.results import (
    COLUMNS,
    check_writable,
    group_table,
    read_results,
    results_table,
    summary,
    write_results,
)
from subtr.params import SettingsError, SubtrError, git_hash


def row(value, **given):
    return {
        "study": "simulated",
        "system": "tier 1",
        "seed": 0,
        "fold": 0,
        "modality": "sound",
        "floats_per_tr": 256,
        "metric": "within-TR R²",
        "value": value,
    } | given


def test_what_is_written_is_read_again(tmp_path):
    file = tmp_path / "tables" / "tier1_seed0.csv"
    rows = [
        row(0.1 + 0.2, low=-1 / 3, high=1e-17, group="NA", params_hash="0123"),
        {"system": "averaging", "metric": "r"},
    ]
    assert write_results(file, rows) == file
    table = read_results(file.parent)
    assert list(table) == list(COLUMNS)
    first, second = table.to_dict("records")
    assert (first["value"], first["low"], first["high"]) == (0.1 + 0.2, -1 / 3, 1e-17)
    assert (first["group"], first["params_hash"], first["git"]) == ("NA", "0123", git_hash())
    assert second["study"] == ""
    assert np.isnan(second["value"])
    assert pd.isna(second["seed"])
    assert [path.name for path in file.parent.iterdir()] == ["tier1_seed0.csv"]


def test_a_failed_write_leaves_the_earlier_table(tmp_path, monkeypatch):
    file = write_results(tmp_path / "a.csv", [row(0.5)])
    before = file.read_bytes()

    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "replace", full_disk)
    with pytest.raises(SubtrError, match=r"a\.csv cannot be written: No space left.*RUNS="):
        write_results(file, [row(0.9)])
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_wrong_columns_and_values_are_named(tmp_path):
    with pytest.raises(SettingsError, match=r"'metrik'\. Did you mean 'metric'"):
        write_results(tmp_path / "a.csv", [row(0.5) | {"metrik": "r"}])
    with pytest.raises(SettingsError, match=r"a\.csv: column 'fold' needs numbers.*'all'"):
        write_results(tmp_path / "a.csv", [row(0.5, fold="all")])
    assert not list(tmp_path.iterdir())


def test_absent_and_foreign_tables_are_named(tmp_path):
    with pytest.raises(SubtrError, match=rf"{tmp_path}: no results.*make run"):
        read_results(tmp_path)
    (tmp_path / "other.csv").write_text("epoch,loss\n0,1\n")
    with pytest.raises(SubtrError, match=r"other\.csv: no results table.*'study'"):
        read_results(tmp_path)


def frame(rows, tmp_path):
    write_results(tmp_path / "table.csv", rows)
    return read_results(tmp_path)


def test_cells_equal_hand_computation(tmp_path):
    rows = [
        # Two seeds of two folds: (0.80 + 0.84) / 2 and (0.70 + 0.74) / 2, so 0.77.
        row(0.80, low=0.70, high=0.90, floor=0.0, ceiling=0.9),
        row(0.84, fold=1, low=0.74, high=0.94, floor=0.0, ceiling=0.9),
        row(0.70, seed=1, low=0.60, high=0.80, floor=0.0, ceiling=0.9),
        row(0.74, seed=1, fold=1, low=0.64, high=0.84, floor=0.0, ceiling=0.9),
        row(-0.001, system="averaging", floats_per_tr=128),
        row(0.5, metric="within-TR R² 2-4 Hz"),
        row(0.4, modality="bold", metric="r / ceiling", floats_per_tr=None, low=0.3, high=0.5),
        row(0.9, modality="bold", metric="r / ceiling", group="onset"),
    ]
    table = results_table(frame(rows, tmp_path))
    kept, bold = ("sound", "within-TR R²"), ("BOLD", "r / ceiling")
    assert list(table) == [kept, bold]
    systems = [("floor", ""), ("tier 1", "256"), ("averaging", "128"), ("ceiling", "")]
    assert list(table.index) == systems
    assert table.loc[("tier 1", "256"), kept] == "0.77 [0.67, 0.87]"
    assert table.loc[("tier 1", "256"), bold] == "0.40 [0.30, 0.50]"
    assert table.loc[("averaging", "128"), kept] == "0.00"
    assert table.loc[("averaging", "128"), bold] == ""
    assert table.loc[("ceiling", ""), kept] == "0.90"


@pytest.mark.parametrize(("n_seeds", "low", "high"), [(2, 0.55, 0.65), (3, 0.5, 0.7)])
def test_three_seeds_widen_the_interval(tmp_path, n_seeds, low, high):
    values = [0.5, 0.7, 0.6][:n_seeds]
    rows = [row(value, seed=seed, low=0.55, high=0.65) for seed, value in enumerate(values)]
    whole = summary(frame(rows, tmp_path)).iloc[0]
    assert (whole["low"], whole["high"], whole["n_seeds"]) == pytest.approx((low, high, n_seeds))
    assert whole["value"] == pytest.approx(0.6)


def test_folds_scored_as_one_series_go_before_single_folds(tmp_path):
    rows = [row(0.2), row(0.4, fold=1), row(0.35, fold=None)]
    assert summary(frame(rows, tmp_path))["value"].tolist() == [0.35]


def test_without_headline_scores_the_table_is_empty(tmp_path):
    assert results_table(frame([row(1.0, metric="training time_s")], tmp_path)).shape == (0, 0)


def test_groups_go_across(tmp_path):
    bold = {"modality": "bold", "metric": "r / ceiling", "floats_per_tr": None}
    rows = [
        row(value, system=system, group=group, ceiling=0.8 if group == "onset" else None, **bold)
        for system, group, value in [
            ("FIR ridge", "level", 0.5), ("FIR ridge", "onset", 0.1), ("tier 1", "onset", 0.6),
        ]
    ]  # fmt: skip
    table = group_table(frame([*rows, row(0.9, **bold)], tmp_path))
    assert list(table) == ["level", "onset"]
    assert table.loc["FIR ridge"].to_numpy().tolist() == [["0.50", "0.10"]]
    assert table.loc["tier 1"].to_numpy().tolist() == [["", "0.60"]]
    assert table.loc["ceiling"].to_numpy().tolist() == [["", "0.80"]]


def test_studies_are_told_apart(tmp_path):
    table = results_table(frame([row(0.5), row(0.7, study="alice")], tmp_path))
    assert list(table.index.get_level_values("study")) == ["alice", "simulated"]
    assert table.iloc[:, 0].tolist() == ["0.70", "0.50"]


def test_git_hash_is_that_of_the_commit_and_marks_changes(tmp_path, monkeypatch):
    def git(*command):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        done = ["git", "-C", str(tmp_path), *identity, *command]
        return subprocess.run(done, check=True, capture_output=True, text=True).stdout.strip()

    code = tmp_path / "code.py"
    code.write_text("a = 1\n")
    monkeypatch.setattr(params, "__file__", str(code))
    assert git_hash() == "unknown"
    git("init", "-q")
    assert git_hash() == "unknown"
    git("add", ".")
    git("commit", "-q", "-m", "a")
    assert git_hash() == git("rev-parse", "--short", "HEAD")
    code.write_text("a = 2\n")
    assert git_hash() == git("rev-parse", "--short", "HEAD") + "-dirty"
    monkeypatch.setenv("PATH", "")
    assert git_hash() == "unknown"


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    made = check_writable(tmp_path / "new" / "folder")
    assert made.is_dir()
    assert not list(made.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(SubtrError, match=r"file cannot be written.*choose a folder"):
        check_writable(tmp_path / "file")

    def full_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(SubtrError, match=r"No space left on device\. Free space"):
        check_writable(made)
