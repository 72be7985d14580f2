import pandas as pd

from subtr.figures.__main__ import main
from subtr.results import write_results


def rows(study, modality, metric, values, group="", floats=128):
    return [
        {"study": study, "modality": modality, "metric": metric, "group": group, "seed": seed}
        | {"system": system, "value": value, "low": value - 0.1, "high": value + 0.1}
        | {"floor": 0.0, "ceiling": 1.0, "floats_per_tr": floats}
        for system, of_seeds in values.items()
        for seed, value in enumerate(of_seeds)
    ]


def test_figures_and_tables_come_from_what_was_measured(tmp_path):
    speech = []
    for metric in ("temporal preservation", "temporal preservation 2-4 Hz", "gain over PCA"):
        speech += rows("speech", "sound", metric, {"tier1": [0.71, 0.75, 0.79], "PCA": [0.5]})
    write_results(tmp_path / "verify" / "speech_128" / "scores.csv", speech)
    for name, metric in (("simulated", "r / ceiling"), ("alice", "r")):
        bold = []
        for group in ("", "order"):
            bold += rows(name, "bold", metric, {"tier1": [0.8], "averaging": [0.125]}, group)
        write_results(tmp_path / "verify" / name / "scores.csv", bold)
    main(["--runs", str(tmp_path), "--out", str(tmp_path / "figures")])
    drawn = {file.stem for file in (tmp_path / "figures").glob("*.png")}
    assert drawn == {"speech", "speech_by_band", "simulated", "alice", "headline"}
    text = (tmp_path / "figures" / "results.md").read_text()
    # The mean of the seeds, and an interval widened to hold each of them.
    assert "0.75 [0.65, 0.85]" in text
    assert "0.80 [0.70, 0.90]" in text


def test_what_was_not_measured_is_said_and_the_rest_is_drawn(tmp_path, capsys):
    bold = rows("alice", "bold", "r", {"tier1": [0.5]}, "LATL")
    bold += rows("alice", "bold", "r", {"tier1": [0.5]})
    write_results(tmp_path / "verify" / "alice" / "scores.csv", bold)
    main(["--runs", str(tmp_path), "--out", str(tmp_path / "figures")])
    said = capsys.readouterr().out
    assert "simulated: nothing in" in said
    assert "run `make verify` first" in said
    assert [file.stem for file in (tmp_path / "figures").glob("*.png")] == ["alice"]


def test_tables_whose_results_are_gone_stay_as_they_were(tmp_path):
    scores = rows("alice", "bold", "r", {"tier1": [0.5]}, "LATL")
    scores, out = scores + rows("alice", "bold", "r", {"tier1": [0.5]}), tmp_path / "figures"
    for runs, folder in (("first", "alice"), ("second", "pretraining_alice")):
        write_results(tmp_path / runs / "verify" / folder / "scores.csv", scores)
    main(["--runs", str(tmp_path / "first"), "--out", str(out)])
    before = (out / "results.md").read_text()
    assert before.count("\n## ") == 1
    main(["--runs", str(tmp_path / "second"), "--out", str(out)])
    after = (out / "results.md").read_text()
    assert after.startswith(before)
    assert after.count("\n## ") == 2


def test_sizes_that_are_not_measured_again_stay_in_their_table(tmp_path):
    """As they were: mean over seeds, interval and number of seeds."""
    metric, out = "temporal preservation", tmp_path / "figures"
    for runs, floats in (("first", 64), ("second", 128)):
        scores = rows("speech", "sound", metric, {"S3D": [0.5, 0.6, 0.75]}, floats=floats)
        file = tmp_path / runs / "verify" / f"speech_encoders_{floats}" / "scores.csv"
        write_results(file, scores)
        main(["--runs", str(tmp_path / runs), "--out", str(out)])
    table = pd.read_csv(out / "speech_encoders.csv").set_index("floats_per_tr")
    assert list(table.index) == [64, 128]
    columns = ["value", "low", "high", "floor", "n_seeds"]
    assert table.loc[64, columns].tolist() == table.loc[128, columns].tolist()
    assert table.loc[64, "n_seeds"] == 3
