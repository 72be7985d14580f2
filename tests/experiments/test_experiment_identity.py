"""What tells two runs apart, so that neither is taken for the other; what does not is no matter."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import soundfile
from test_experiment import lines as lines
from test_experiment import opened as opened
from test_experiment import place as place
from tiny_experiment import LINEAR, STUDY, SYSTEM, write

from subtr.decoders.vocoders import VocoderParams
from subtr.experiments import experiment, results
from subtr.experiments.data import SystemParams
from subtr.experiments.experiment import Experiment
from subtr.params import params_hash, validate


def test_another_option_deep_in_a_file_gets_another_place(opened, place):
    opened.train("small")
    before = {file: file.stat().st_mtime_ns for file in opened.folder.rglob("best.ckpt")}
    wider = SYSTEM["sound"] | {"stream": LINEAR | {"encoder": {"name": "linear", "hidden_dim": 5}}}
    write(place / "tiny", system_wide={"sound": wider})
    opened.train("wide")
    same = validate(SystemParams, {"sound": SYSTEM["sound"]}, "a")
    other = validate(SystemParams, {"sound": wider}, "b")
    assert params_hash(same) != params_hash(other)
    for file, written in before.items():
        assert file.stat().st_mtime_ns == written
    # And the same name with other values is trained anew rather than read.
    write(place / "tiny", system_wide={"sound": SYSTEM["sound"]})
    opened.train("wide")
    assert len(list((opened.folder / "checkpoints").glob("wide_3_seed0_sound_*"))) == 2


def test_another_film_of_the_same_name_is_not_taken_for_the_one_that_was_trained(tmp_path):
    load = {"frames_per_tr": 16, "mel": STUDY["load"]["mel"]}
    study = STUDY | {"load": load}
    params = write(tmp_path / "p", study_film=study, system_small={"sound": SYSTEM["sound"]})
    values = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        film = tmp_path / str(seed) / "song.wav"
        film.parent.mkdir()
        loudness = np.repeat(rng.uniform(0.01, 0.3, 600), 800)
        soundfile.write(film, loudness * rng.normal(size=480_000).clip(-3, 3), 8000)
        with pytest.warns(UserWarning, match="no picture track"):
            made = Experiment.open("film", params, str(film), str(tmp_path / "runs"))
        made.train("small")
        values.append(made.reconstructions("sound")["small 3"])
        trained = list(made.folder.glob("checkpoints/*/fold0/best.ckpt"))
        assert len(trained) == seed + 1
    assert np.abs(values[0] - values[1]).max() > 0.01


def test_bold_files_count_by_their_content(opened, tmp_path):
    part = validate(SystemParams, {}, "system.yaml")
    params = opened.params.model_copy(update={"load": {"bold": str(tmp_path)}})
    made = Experiment(opened.study, params, opened.folder, opened.params_folder)
    hashes = []
    for content in (b"first", b"second", b"first"):
        (tmp_path / "sub-01.npy").write_bytes(content)
        hashes.append(made.training_hash(part))
    assert hashes[0] == hashes[2] != hashes[1]


def test_baselines_are_scored_once_for_the_same_parameters_and_code(opened, monkeypatch):
    monkeypatch.setattr(experiment, "git_hash", lambda: "abc")
    monkeypatch.setattr(results, "git_hash", lambda: "abc")
    first = opened.baselines()
    with monkeypatch.context() as never:
        never.setattr(experiment, "sound_baselines", None)
        pd.testing.assert_frame_equal(opened.baselines(), first)
    monkeypatch.setattr(experiment, "git_hash", lambda: "def")
    again = []
    monkeypatch.setattr(experiment, "sound_baselines", lambda *_: again.append(1) or [])
    opened.baselines()
    assert again


def test_the_vocoder_changes_what_is_heard_and_no_training(opened):
    rough = VocoderParams(name="griffin_lim", options={"n_iter": 1})
    params = opened.params.model_copy(update={"vocoder": rough})
    other = dataclasses.replace(opened, params=params)
    assert other.training_hash() == opened.training_hash()
    kept = [
        table.query("system == 'round trip' and metric == 'within-TR R²' and group == ''")
        for table in (opened.baselines(), other.baselines())
    ]
    assert kept[0]["value"].item() > kept[1]["value"].item()
