import copy
from functools import partial

import pandas as pd
import pytest
from tiny_experiment import STUDY, SYSTEM, write

from subtr.experiments import judged as judging
from subtr.experiments.experiment import Experiment
from subtr.experiments.judged import judge_reconstructions
from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """An experiment of a minute, and what one judge says of its sound, another of its pictures."""
    try:
        for name in ("stoi", "frames"):
            load_judge(name)
    except JudgeMissing as error:
        pytest.skip(str(error))
    monkeypatch.setenv("SUBTR_PROGRESS", "lines")
    for made, name in (("judged_sounds", "stoi"), ("judged_pictures", "frames")):
        monkeypatch.setattr(judging, made, partial(getattr(judging, made), judges=[name]))
    study = copy.deepcopy(STUDY)
    study["load"]["pictures"] = {"width": 24, "height": 18, "frames_per_tr": 2}
    study["judged_s"] = 24
    parts = {part: SYSTEM[part] for part in ("sound", "pictures")}
    folder = write(tmp_path / "tiny", study_simulated=study, system_small=parts)
    experiment = Experiment.open("simulated", folder, runs=str(tmp_path / "runs"))
    experiment.train("small")
    experiment.baselines()
    return experiment, judge_reconstructions(experiment)


def test_systems_and_baselines_are_judged_between_averaging_and_the_round_trip(judged):
    experiment, rows = judged
    sound = rows[rows["metric"] == "stoi"].set_index("system")
    assert {"small", "mean", "PCA", "round trip"} <= set(sound.index)
    assert sound.loc["small", "floats_per_tr"] == 3
    assert sound.loc["small", "floor"] == sound.loc["mean", "value"]
    assert sound.loc["round trip", "value"] > sound.loc["small", "value"]
    pictures = rows[rows["metric"] == "ssim"].set_index("system")
    assert pictures.loc["small", "ceiling"] == pytest.approx(1.0)
    assert {"stoi", "ssim"} <= set(experiment.results()["metric"])


def test_what_was_judged_is_read_again_while_the_code_is_the_same(judged, monkeypatch):
    experiment, rows = judged
    file = experiment.folder / "tables" / "judged_seed0.csv"
    pd.read_csv(file).assign(git="abc").to_csv(file, index=False)
    monkeypatch.setattr(judging, "git_hash", lambda: "abc")
    monkeypatch.setattr(judging, "judged_sounds", None)
    again = judge_reconstructions(experiment)
    assert again["value"].tolist() == rows["value"].tolist()
    asked = []
    monkeypatch.setattr(judging, "judged_sounds", lambda *given, **labels: asked.append(given))
    with pytest.raises(TypeError):  # nothing was said
        judge_reconstructions(experiment, most_s=12)
    assert asked, "other seconds are judged anew"


def test_another_training_is_judged_anew(judged, monkeypatch):
    experiment, rows = judged
    file = experiment.folder / "tables" / "judged_seed0.csv"
    monkeypatch.setattr(judging, "git_hash", lambda: "abc")
    for name in ("another 3", "small 3"):
        pd.read_csv(file).assign(git="abc").to_csv(file, index=False)
        drawn = experiment.reconstructions("sound")["small 3"] + 1
        experiment.store.keep_windows(name, "sound", drawn, seed=0)
        before, rows = rows, judge_reconstructions(experiment)
        assert set(rows["params_hash"]) != set(before["params_hash"])
    assert "another" in set(rows["system"])


def test_judges_of_no_seconds_are_not_asked(judged, monkeypatch):
    monkeypatch.setattr(judging, "judged_sounds", None)
    assert judge_reconstructions(judged[0], most_s=0).empty
