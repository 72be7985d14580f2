"""Sizes read from checkpoints are those of the networks that were built."""

import pytest
from tiny_experiment import STUDY, SYSTEM, write

from subtr.decoders import DECODERS
from subtr.experiments.analyses import network_sizes
from subtr.experiments.cost import count_parameters
from subtr.experiments.experiment import Experiment
from subtr.models.stream import Stream


@pytest.fixture
def opened(tmp_path, monkeypatch, _own_cache):
    monkeypatch.setenv("SUBTR_PROGRESS", "lines")
    follow = {"sound": SYSTEM["sound"] | {"teacher": {"teacher": "small"}, "floats_per_tr": [2]}}
    write(tmp_path / "tiny", study_simulated=STUDY, system_small=SYSTEM, system_student=follow)
    return Experiment.open("simulated", str(tmp_path / "tiny"), runs=str(tmp_path / "runs"))


def test_they_are_those_of_the_parts_and_a_teacher_is_no_part(opened):
    assert len(network_sizes(opened, ["small", "student"])) == 0
    opened.train("small")
    opened.train("student")
    found = network_sizes(opened, ["small", "student"]).set_index(["system", "modality"])
    assert set(found.index) == {
        ("small", "sound"), ("small", "pictures"), ("small", "bold"), ("student", "sound")
    }  # fmt: skip
    for system, n_floats in (("small", 3), ("student", 2)):
        params = opened.system(system).sound
        n_frames, n_mels = opened.study.mel.shape[1:]
        parts = (
            Stream(n_mels, n_frames, n_floats, params.stream),
            params.decoder.build(DECODERS, n_floats, n_frames, n_mels),
        )
        assert found.loc[(system, "sound"), "parameters"] == sum(map(count_parameters, parts))
