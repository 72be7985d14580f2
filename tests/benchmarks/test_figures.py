"""Figures are drawn from the tables that stand beside them, and from nothing else."""

import matplotlib.pyplot as plt
import pytest

from benchmarks.figures import main
from benchmarks.tables import published, write_table
from subtr.viewing.scores import within_tr_r2_by_floats


def rows(study, modality, metric, values, group="", floats=128):
    return [
        {"study": study, "modality": modality, "metric": metric, "group": group, "seed": seed}
        | {"system": system, "value": value, "low": value - 0.1, "high": value + 0.1}
        | {"floor": 0.0, "ceiling": 1.0, "floats_per_tr": floats}
        for system, of_seeds in values.items()
        for seed, value in enumerate(of_seeds)
    ]


def kept(tmp_path, name, of):
    write_table(tmp_path / f"{name}.csv", of, tmp_path / "runs" / name / "scores.csv", "abc", "all")


def drawn(tmp_path):
    main(["--tables", str(tmp_path), "--out", str(tmp_path)])
    return {file.stem for file in tmp_path.glob("*.png")}


@pytest.fixture
def speech():
    found = []
    for metric in ("within-TR R²", "within-TR R² 2-4 Hz", "gain over PCA"):
        found += rows("speech", "sound", metric, {"tier1": [0.71, 0.75, 0.79], "PCA": [0.5]})
    return found


def test_figures_come_from_the_tables(tmp_path, speech):
    kept(tmp_path, "speech", speech)
    for name, metric in (("simulated", "r / ceiling"), ("alice", "r")):
        bold = []
        for group in ("", "order"):
            bold += rows(name, "bold", metric, {"tier1": [0.8], "averaging": [0.125]}, group)
        kept(tmp_path, name, bold)
    assert drawn(tmp_path) == {"speech", "speech_by_band", "simulated", "alice", "headline"}


def test_what_is_drawn_is_the_mean_of_seeds_and_an_interval_that_holds_each(tmp_path, speech):
    kept(tmp_path, "speech", speech)
    figure = within_tr_r2_by_floats(published(tmp_path / "speech.csv"))
    bars = {bar.get_label(): bar for bar in figure.axes[0].containers}
    line, _, (stems,) = bars["tier1"]
    assert line.get_xydata()[0] == pytest.approx([128, 0.75])
    assert stems.get_segments()[0][:, 1] == pytest.approx([0.65, 0.85])
    plt.close(figure)


def test_what_was_not_measured_is_said_and_the_rest_is_drawn(tmp_path, capsys):
    bold = rows("alice", "bold", "r", {"tier1": [0.5]}, "LATL")
    kept(tmp_path, "alice", bold + rows("alice", "bold", "r", {"tier1": [0.5]}))
    assert drawn(tmp_path) == {"alice"}
    assert "simulated: no table in" in capsys.readouterr().out
