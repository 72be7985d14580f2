"""Every question is listed and can be run; its table says which code and command it comes from."""

from importlib import import_module
from inspect import signature

import numpy as np
import pandas as pd
import pytest

from benchmarks.__main__ import main, questions
from benchmarks.tables import NotMeasured, by_table, named, published, write_table
from subtr.experiments.results import read_results, summary
from subtr.params import git_hash

REDUCED_COST = ("sizes=[6,16,1.5,4,2]", "repeats=1", "encoders=[linear]")
REDUCED_COST += ("aggregators=[mean,linear]",)


def results(system="tier1", floats=128, values=(0.5, 0.6, 0.75), **more):
    """Rows of a results table, one a seed."""
    row = {"study": "speech", "modality": "sound", "metric": "within-TR R²"}
    return [
        row | {"system": system, "floats_per_tr": floats, "seed": seed, "value": value}
        | {"low": value - 0.1, "high": value + 0.1, "floor": 0.0} | more
        for seed, value in enumerate(values)
    ]  # fmt: skip


def in_folder(tmp_path, *arguments):
    return main([*arguments, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")])


@pytest.mark.parametrize("name", questions())
def test_each_file_asks_a_question_and_says_what_it_takes_and_what_is_expected(name):
    module = import_module(f"benchmarks.{name}")
    question, _, rest = module.__doc__.partition("\n\n")
    assert "?" in question
    assert "Data:" in rest
    assert "two cores" in rest
    folder, *others = signature(module.run).parameters.values()
    assert folder.name == "folder"
    assert all(one.default is not one.empty for one in others)
    assert module.run.__doc__


def test_the_list_names_every_question(capsys):
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(questions())
    assert {"speech", "words", "alice", "cost"} <= set(questions())
    assert not {"data", "tables", "figures"} & set(questions())


def test_a_reduced_question_leaves_a_table_with_code_and_command(tmp_path, capsys):
    assert in_folder(tmp_path, "cost", "--only", *REDUCED_COST) == 0
    table = pd.read_csv(tmp_path / "out" / "cost.csv")
    assert list(table["system"][:2]) == ["linear + mean", "linear + linear"]
    assert table["parameters"].iloc[0] == (6 * 128 + 128) + (128 * 4 + 4)
    assert set(table["git"]) == {git_hash()}
    assert set(table["command"]) == {f"python -m benchmarks cost --only {' '.join(REDUCED_COST)}"}
    said = capsys.readouterr().out
    assert "times as fast when collapsed" in said
    assert "measured  cost" in said


def test_deconvolution_helps_and_hurts_where_it_should(tmp_path):
    """Little noise, one seed: the truth is the activity that was planted."""
    rows = import_module("benchmarks.deconvolution").run(tmp_path, seeds=[0], snrs=[10.0])
    r = pd.DataFrame(rows).groupby(["activity", "peak_s", "method"])["r"].mean()
    assert r["events", 5.0, "sparse"] > r["events", 5.0, "shift by 5 s"] + 0.1
    assert r["events", 5.0, "wiener"] > r["events", 5.0, "shift by 5 s"]
    assert r["events", 7.0, "sparse"] < r["events", 7.0, "shift by 5 s"]
    assert r["smooth", 5.0, "wiener"] < r["smooth", 5.0, "shift by 5 s"]


def test_what_fails_or_is_missing_is_said_and_the_rest_is_measured(tmp_path, monkeypatch, capsys):
    def missing(folder):
        raise NotMeasured("no such data: put them there")

    def broken(folder):
        raise ZeroDivisionError("by nothing")

    for name, run in (
        ("ceilings", broken),
        ("scale", missing),
        ("speech", lambda folder: results()),
    ):
        monkeypatch.setattr(f"benchmarks.{name}.run", run)
    assert in_folder(tmp_path, "ceilings", "scale", "speech") == 1
    said, errors = capsys.readouterr()
    assert "ZeroDivisionError: by nothing" in errors
    assert "scale is skipped: no such data: put them there" in said
    assert said.splitlines()[-3:] == [
        "measured  speech",
        "skipped   scale",
        "failed    ceilings",
    ]
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["speech.csv"]
    table = pd.read_csv(tmp_path / "out" / "speech.csv")
    assert table.loc[0, ["value", "n_seeds"]].tolist() == pytest.approx([1.85 / 3, 3])
    assert table.loc[0, "command"] == "python -m benchmarks speech"
    # Seed by seed, for `python -m subtr.experiments.claims`.
    kept = read_results(tmp_path / "runs" / "bench" / "speech")
    assert list(kept["value"]) == [0.5, 0.6, 0.75]
    assert set(kept["git"]) == {git_hash()}
    assert in_folder(tmp_path, "scale") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["speach"], "no benchmark 'speach'. Did you mean 'speech'?"),
        (["speech", "--only", "size=[64]"], "speech: no argument 'size'. Did you mean 'sizes'?"),
        (["speech", "--only", "sizes"], "expected NAME=VALUE"),
        (["speech", "--only", "sizes=[64"], "is no YAML"),
    ],
)
def test_what_cannot_be_asked_stops_before_anything_is_run(tmp_path, capsys, arguments, message):
    assert in_folder(tmp_path, *arguments) == 2
    assert message in capsys.readouterr().err


def test_without_data_a_question_says_where_to_get_them(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("SUBTR_DATA", raising=False)
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    assert in_folder(tmp_path, "speech", "alice", "--only", "seeds=[0]") == 0
    said = capsys.readouterr().out
    assert "speech is skipped: The data of speech/hifi_6097 are missing" in said
    assert "alice is skipped: The data of alice are missing" in said


def test_rows_go_to_the_table_that_they_name():
    rows = [{"value": 1}, *named("b", [{"value": 2}]), {"value": 3}]
    assert by_table(rows, "a") == {"a": [{"value": 1}, {"value": 3}], "b": [{"value": 2}]}


def test_a_part_replaces_what_it_measured_and_leaves_the_rest(tmp_path):
    file, scores = tmp_path / "speech.csv", tmp_path / "runs" / "scores.csv"
    whole = results(floats=64) + results(floats=128) + results("mean", np.nan, [0.0])
    write_table(file, whole, scores, "abc", "all")
    again = results(floats=128, values=[0.9])
    write_table(file, again, scores, "def", "a part", part=True)
    table = pd.read_csv(file).set_index(["system", "floats_per_tr"]).sort_index()
    assert table.loc[("tier1", 64.0), ["git", "n_seeds"]].tolist() == ["abc", 3]
    assert table.loc[("tier1", 128.0), ["git", "value"]].tolist() == ["def", 0.9]
    assert len(table) == 3


def test_a_part_of_a_table_of_other_columns_does_not_replace_it(tmp_path):
    file, scores = tmp_path / "order.csv", tmp_path / "runs" / "scores.csv"
    write_table(file, [{"n_right": 3}, {"n_right": 4}], scores, "abc", "all")
    _, place = write_table(file, [{"n_right": 9}], scores, "def", "a part", part=True)
    assert list(pd.read_csv(file)["n_right"]) == [3, 4]
    assert list(pd.read_csv(place)["n_right"]) == [9]


def test_a_published_table_is_the_summary_of_its_rows(tmp_path):
    rows = results() + results("PCA", values=[0.4]) + results(group="2-4 Hz", metric="r")
    file = tmp_path / "speech.csv"
    table, _ = write_table(file, rows, tmp_path / "runs" / "scores.csv", "abc", "all")
    again = summary(published(file))
    pd.testing.assert_frame_equal(again, table.drop(columns=["git", "command"]), check_dtype=False)
    assert published(tmp_path / "absent.csv").empty
