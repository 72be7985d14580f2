"""One component at a time is left out, nothing else changes, and the whole stands beside it."""

import pytest
from tiny_experiment import STUDY, SYSTEM, write

from subtr.experiments.analyses import WHOLE, ablate, by_component
from subtr.experiments.data import SystemParams
from subtr.experiments.experiment import Experiment
from subtr.params import SettingsError, validate

ABLATIONS = {
    "time": {"sound.stream.aggregator": {"name": "mean"}, "sound.decoder": {"name": "held"}},
    "encoder": {"sound.stream.encoder": {"name": "linear", "hidden_dim": 0}},
    "dropout": {"bold.readout.dropout": 0.5},
}


def system(**ablations):
    return validate(SystemParams, SYSTEM | {"ablations": ablations}, "system_small.yaml")


@pytest.fixture
def opened(tmp_path, monkeypatch, _own_cache):
    monkeypatch.setenv("SUBTR_PROGRESS", "lines")
    chosen = {name: ABLATIONS[name] for name in ("time", "encoder")}
    files = {"study_simulated": STUDY, "system_small": SYSTEM | {"ablations": chosen}}
    write(tmp_path / "tiny", system_plain=SYSTEM, **files)
    return Experiment.open("simulated", str(tmp_path / "tiny"), runs=str(tmp_path / "runs"))


def test_what_is_named_is_replaced_and_nothing_else():
    whole = system(**ABLATIONS)
    left = whole.without("time")
    assert left.sound.stream.aggregator.name == "mean"
    assert left.sound.decoder.name == "held"
    assert left.sound.stream.encoder == whole.sound.stream.encoder
    assert left.bold == whole.bold
    assert left.pictures == whole.pictures
    assert whole.without("dropout").bold.readout.dropout == 0.5
    assert whole.parts_of("time") == ["sound"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sound.strem.encoder", {"name": "linear"}, "sound.strem.encoder is no option"),
        ("sound.stream.encoder.hiden_dim", 3, "hiden_dim: unknown key"),
        ("sound.stream.encoder", {"name": "liner"}, "'liner' is no known encoder"),
        ("smell.stream", 3, "smell.stream is no option"),
    ],
)
def test_an_ablation_that_cannot_be_is_refused_when_the_file_is_read(path, value, message):
    with pytest.raises(SettingsError, match=message):
        system(broken={path: value})


def test_the_whole_stands_beside_what_is_left_without_each_component(opened):
    opened.train("small")
    table = ablate(opened, "small")
    kept = table[table["metric"] == "within-TR R²"].set_index("system")["value"]
    assert kept.index[0] == WHOLE
    assert set(kept.index[1:]) == {"without time", "without encoder"}
    # Averaging, by definition.
    assert kept["without time"] == pytest.approx(0, abs=1e-5)
    trained = opened.results().set_index(["modality", "metric"])["value"]
    assert kept[WHOLE] == pytest.approx(trained["sound", "within-TR R²"], abs=1e-6)
    assert set(table["modality"]) == {"sound"}
    drawn = by_component(table).set_index(["group", "without"])["value"]
    assert drawn["sound", "time"] == kept["without time"]
    assert drawn["sound", WHOLE] == kept[WHOLE]


def test_tables_and_sounds_of_systems_are_left_alone(opened):
    before = opened.train("small")
    ablate(opened, "small")
    assert len(opened.results()) == len(before)
    assert set(opened.reconstructions("sound")) == {"original", "small 3"}


def test_a_system_without_ablations_is_named(opened):
    with pytest.raises(SettingsError, match=r"system_plain.yaml: expected `ablations`"):
        ablate(opened, "plain")
