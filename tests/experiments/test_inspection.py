"""A trained system is read from what the run kept; without a level it loses what that carried."""

import numpy as np
import pytest
import torch
import yaml
from planted import low_rank_study, order_study

from subtr.experiments.analyses import ALL, levels_of_bold, levels_of_sound, without_level
from subtr.experiments.data import StudyParams
from subtr.experiments.experiment import Experiment
from subtr.models.stream import Stream, StreamParams
from subtr.params import SettingsError

HIERARCHY = {"name": "hierarchical", "dims": [6, 6], "pool_frames": [8]}
SOUND = {
    "stream": {"encoder": HIERARCHY, "aggregator": {"name": "linear"}, "keep_input": True},
    "start": "pca",
    "floats_per_tr": [4],
    # So slow that it stays at PCA, which the levels add nothing to.
    "training": {"max_epochs": 1, "learning_rate": 1.0e-9},
}
BOLD = {
    "stream": {"encoder": HIERARCHY | {"norm": "none"}, "aggregator": {"name": "conv"}},
    "readout": {"vector_dim": 4, "members": 2},
    "training": {"max_epochs": 15, "learning_rate": 0.01},
}


def experiment(tmp_path, study, monkeypatch, **parts):
    monkeypatch.setenv("SUBTR_PROGRESS", "lines")
    (tmp_path / "system_small.yaml").write_text(yaml.safe_dump(parts))
    params = StudyParams(n_folds=3, gap_s=6.0, reconstruction_folds=2)
    return Experiment(study, params, tmp_path / "run", tmp_path)


def test_of_sound_that_is_pca_of_the_input_only_the_input_counts(tmp_path, monkeypatch):
    opened = experiment(tmp_path, low_rank_study(), monkeypatch, sound=SOUND)
    kept = opened.train("small").set_index("metric")["value"]
    found = levels_of_sound(opened, "small")
    deeper = ["the level at 5.33 Hz", "the level at 0.667 Hz"]
    assert list(found["without"].unique()) == [ALL, "the input", *deeper]
    by_level = found.pivot_table(index="without", columns="metric", values="value")
    whole = by_level["within-TR R²"]
    assert whole[ALL] == pytest.approx(kept["within-TR R²"], abs=1e-3)
    for name in deeper:
        assert whole[name] == pytest.approx(whole[ALL], abs=1e-4)
    # The same for every TR, so nothing of any is kept; nor is there harm beyond that.
    assert whole[ALL] > 0.9
    assert abs(whole["the input"]) < 0.1


def test_bold_that_follows_order_is_lost_with_the_level_that_knows_it(tmp_path, monkeypatch):
    opened = experiment(tmp_path, order_study(n_trs=150), monkeypatch, bold=BOLD)
    kept = opened.train("small")
    kept = kept[kept["metric"] == "r"].set_index("group")["value"]
    found = levels_of_bold(opened, "small")
    r = found[found["metric"] == "r"].set_index(["without", "group"])["value"]
    for group in ("", "rise", "fall"):
        assert r[ALL, group] == pytest.approx(kept[group], abs=1e-6)
    names = list(found["without"].unique())
    assert names == [ALL, "the level at 4 Hz", "the level at 0.5 Hz"]
    assert min(r[name, ""] for name in names[1:]) < r[ALL, ""] - 0.02


def test_a_level_that_says_nothing_is_the_same_for_every_tr():
    torch.manual_seed(0)
    params = StreamParams.model_validate(
        {"encoder": {"name": "linear", "hidden_dim": 4}, "aggregator": {"name": "mean"}}
    )
    stream = Stream(3, 8, 5, params)
    frames = torch.randn(1, 6, 8, 3)
    with without_level(stream, 0):
        same = stream(frames, 1.5)
    torch.testing.assert_close(same, same[:, :1].expand_as(same))
    # Averages of averages are linear: it is the mean TR that is said.
    torch.testing.assert_close(same[:, 0], stream(frames, 1.5).mean(1))
    assert stream(frames, 1.5).std(1).min() > 0


def test_what_is_not_trained_is_said_to_be_so(tmp_path, monkeypatch):
    opened = experiment(tmp_path, order_study(n_trs=150), monkeypatch, bold=BOLD)
    with pytest.raises(SettingsError, match=r"small is not trained .* experiment.train\('small'\)"):
        levels_of_bold(opened, "small")
    with pytest.raises(SettingsError, match=r"system_small\.yaml has no sound"):
        levels_of_sound(opened, "small")
    assert np.isfinite(opened.held_out.mean).any()
