"""Everything is checked before anything long begins, and the end says what was made and where."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import yaml

from subtr.experiments import run
from subtr.experiments.results import write_results


@pytest.fixture
def params(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name, content in {
        "study_simulated": {"load": {"duration_s": 90}, "seeds": [3, 4]},
        "study_film": {"n_folds": 4},
        "system_small": {"sound": {"floats_per_tr": [8]}},
    }.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


@pytest.fixture
def song(tmp_path):
    soundfile.write(tmp_path / "song.wav", np.zeros(16_000 * 9), 16_000)
    return tmp_path / "song.wav"


@pytest.fixture
def called(monkeypatch):
    """Commands that would have been run; the workflow itself is not started."""
    commands = []

    def pretend(command, **_):
        commands.append(command)
        return SimpleNamespace(returncode=pretend.code)

    pretend.code = 0
    # In this module alone: results ask git for the commit.
    monkeypatch.setattr(run, "subprocess", SimpleNamespace(run=pretend))
    return commands, pretend


def main(tmp_path, params, *more):
    return run.main(["--params", str(params), "--runs", str(tmp_path / "runs"), *more])


def edit(file, **changes):
    file.write_text(yaml.safe_dump((yaml.safe_load(file.read_text()) or {}) | changes))


def test_a_run_has_a_folder_for_each_set_study_and_film():
    assert str(run.run_folder("runs", "smoke", "alice")) == "runs/smoke/alice"
    assert str(run.run_folder("runs", "/own/set", "alice")) == "runs/set/alice"
    assert str(run.run_folder("runs", "smoke", "film", "/a/b.mp4")) == "runs/smoke/film-b"
    # A film in place of the study's own is another run.
    assert str(run.run_folder("runs", "smoke", "simulated", "b.mp4")) == "runs/smoke/simulated-b"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--study", "simulatd"], r"study_simulatd.yaml does not exist. Did you mean 'study_sim"),
        (["--study", "film"], "make run FILM=path/to/film.mp4"),
        (["--film", "/no/such/film.mp4"], "/no/such/film.mp4: no such file"),
        (["--seeds", "0,one"], "seeds = '0,one': expected whole numbers such as 0,1,2"),
        (["--seeds", "-1"], "seeds = '-1': expected whole numbers"),
        (["--seeds", "0,,1"], "seeds = '0,,1': expected whole numbers"),
        (["--params", "smok"], "Did you mean 'smoke'"),
    ],
)
def test_a_wrong_argument_ends_with_2_and_says_what_is_right(
    tmp_path, params, called, capsys, more, message
):
    more = [f"{more[0]}={more[1]}"]
    assert main(tmp_path, params, *more) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert called[0] == []


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("study_simulated", {"n_fold": 3}, "n_fold: unknown key. Did you mean 'n_folds'"),
        ("study_simulated", {"load": {"tr_s": 1500}}, "tr_s = 1500"),
        ("study_simulated", {"load": {"trs_s": 2}}, "trs_s: unknown key. Did you mean 'tr_s'"),
        ("system_small", {"sounds": {}}, "sounds: unknown key. Did you mean 'sound'"),
        (
            "system_small",
            {"bold": {"stream": {"encoder": {"name": "multscale"}}}},
            "'multscale' is no known encoder. Did you mean 'multiscale'",
        ),
    ],
)
def test_every_file_is_checked_before_anything_runs(
    tmp_path, params, called, capsys, name, changes, message
):
    edit(params / f"{name}.yaml", **changes)
    assert main(tmp_path, params) == 2
    assert message in capsys.readouterr().err
    assert called[0] == []


def test_an_unwritable_run_folder_is_named(tmp_path, params, called, capsys):
    (tmp_path / "runs").write_text("in the way")
    assert main(tmp_path, params) == 2
    assert "make run RUNS=" in capsys.readouterr().err
    assert called[0] == []


def row(**changes):
    labels = {"study": "simulated", "system": "tier 1", "seed": 3, "modality": "sound"}
    return labels | {"metric": "within-TR R²", "value": 0.875} | changes


def test_the_end_shows_the_table_and_where_things_lie(tmp_path, params, called, capsys):
    folder = tmp_path / "runs" / "tiny" / "simulated"
    write_results(folder / "tables" / "a.csv", [row(floats_per_tr=128)])
    assert main(tmp_path, params, "--cores", "3") == 0
    out = capsys.readouterr().out
    assert "0.88" in out
    assert "tier 1" in out
    for name in ("tables", "figures", "media", "notebooks"):
        assert f"{folder}/{name}" in out
    ((command),) = called[0]
    assert command[:3] == [sys.executable, "-m", "snakemake"]
    assert command[command.index("--cores") + 1] == "3"
    # Seeds are those of the study unless given.
    assert {"study=simulated", "seeds=3,4", "film="} <= set(command)


def test_a_film_is_its_own_study_and_goes_on_by_its_whole_path(
    tmp_path, params, song, called, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_results(tmp_path / "runs/tiny/film-song/tables/a.csv", [row(study="film-song")])
    assert main(tmp_path, params, "--film", "song.wav", "--seeds", "0, 1") == 0
    (command,) = called[0]
    assert {"study=film", f"film={song}", "seeds=0,1"} <= set(command)


def test_a_notebook_that_stops_keeps_its_code_and_says_what_is_kept(
    tmp_path, params, called, capsys
):
    called[1].code = 1
    assert main(tmp_path, params) == 1
    error = capsys.readouterr().err
    assert "What was finished is kept: the same command goes on from there." in error
    assert f"{tmp_path}/runs/tiny/simulated/notebooks" in error


def test_help_names_every_argument():
    command = [sys.executable, "-m", "subtr.experiments.run", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name in ("--study", "--film", "--params", "--seeds", "--runs", "--cores"):
        assert name in shown
