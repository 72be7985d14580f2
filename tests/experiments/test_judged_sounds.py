import numpy as np
import pytest

from subtr.datasets.simulated_film import VOICES, Line, speak
from subtr.experiments import judged as judging
from subtr.experiments.judged import Pieces, judged_sounds
from subtr.judges import JUDGES, load_judge
from subtr.judges.judge import JudgeMissing
from subtr.judges.speech import Recogniser
from subtr.params import SettingsError

RATE_HZ = 16000


@pytest.fixture(scope="module")
def pieces():
    """Three sentences, as they are, under faint and under strong noise, and as noise alone."""
    texts = ["the red dog found a letter near the window", "seven lamps burned in the old house"]
    texts.append("she counted every open door twice")
    spoken = [0.9 * one for one in speak([Line(text, VOICES[0]) for text in texts], RATE_HZ)]
    rng = np.random.default_rng(0)
    noises = [rng.standard_normal(len(one)).astype(np.float32) * one.std() for one in spoken]

    def mixed(share):
        return [one + share * noise for one, noise in zip(spoken, noises, strict=True)]

    sounds = {"original": spoken, "round trip": mixed(0.05), "tier1": mixed(0.5), "mean": noises}
    return Pieces(sounds, RATE_HZ, texts, {"tier1": {"floats_per_tr": 64}})


def needs(name):
    try:
        load_judge(name)
    except JudgeMissing as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("judge", "metric"),
    [
        ("stoi", "stoi"),
        ("whisper-tiny.en", "ASR accuracy, tiny.en"),
        ("moonshine-tiny", "ASR accuracy, Moonshine"),
    ],
)
def test_noise_takes_away_from_every_score_between_ceiling_and_floor(pieces, judge, metric):
    needs(judge)
    rows = judged_sounds(pieces, [judge], study="speech")
    of = {row["system"]: row for row in rows if row["metric"] == metric}
    assert of["round trip"]["value"] > of["tier1"]["value"] > of["mean"]["value"]
    tier1 = of["tier1"]
    assert (tier1["floor"], tier1["ceiling"]) == (of["mean"]["value"], of["round trip"]["value"])
    assert tier1["low"] <= tier1["value"] <= tier1["high"]
    assert (tier1["floats_per_tr"], tier1["study"], tier1["modality"]) == (64, "speech", "sound")


def test_without_texts_the_original_is_what_was_said(pieces):
    needs("whisper-tiny.en")
    untold = Pieces(
        {"original": pieces.sounds["original"], "same": pieces.sounds["original"]}, RATE_HZ
    )
    (row,) = judged_sounds(untold, ["whisper-tiny.en"])
    assert row["value"] == 1.0


def test_recognisers_do_not_share_a_measure():
    judges = [load for load in JUDGES.parts.values() if issubclass(load, Recogniser)]
    assert len(judges) == len({judge.measure for judge in judges}) > 1


def test_a_missing_judge_is_left_out_with_its_reason(pieces, monkeypatch):
    def missing(name):
        raise JudgeMissing(f"{name} is not here")

    monkeypatch.setattr(judging, "load_judge", missing)
    with pytest.warns(UserWarning, match="stoi is not here"):
        assert judged_sounds(pieces, ["stoi"]) == []


def test_pieces_of_other_lengths_are_refused():
    whole, cut = [np.zeros(100, np.float32)], [np.zeros(90, np.float32)]
    with pytest.raises(SettingsError, match="cut all alike"):
        Pieces({"original": whole, "tier1": cut}, RATE_HZ)
    with pytest.raises(SettingsError, match="original"):
        Pieces({"tier1": cut}, RATE_HZ)
