"""The network of musicnn gives what its authors' own code gives."""

import numpy as np
import pytest

from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing
from subtr.judges.music import read_checkpoint
from subtr.params import SettingsError

RATE_HZ = 16000
# Of musicnn 0.1.0 with tensorflow-cpu 2.15.1 and librosa 0.10.2, for `chord`: the likeliest tags.
BY_ITS_AUTHORS = {
    "tags-magnatagatune": {
        "flute": 0.18303,
        "slow": 0.06967,
        "quiet": 0.06203,
        "electronic": 0.04687,
    },
    "tags-million-songs": {
        "electronic": 0.27314,
        "dance": 0.1395,
        "ambient": 0.10415,
        "House": 0.0749,
    },
}


@pytest.fixture(scope="module")
def chord():
    """7 s of a chord that swells three times a second, under little noise."""
    time_s = np.arange(7 * RATE_HZ) / RATE_HZ
    swell = (1 + np.sin(2 * np.pi * 3 * time_s)) / 2
    tones = [0.1 * np.sin(2 * np.pi * f * time_s) * swell for f in (220, 277.2, 329.6, 440)]
    return sum(tones) + 0.005 * np.random.default_rng(0).standard_normal(len(time_s))


@pytest.mark.parametrize("name", BY_ITS_AUTHORS)
def test_probabilities_are_those_of_the_authors_code(judge_of, chord, name):
    found = judge_of(name).tag(chord, RATE_HZ)
    assert list(found)[:4] == list(BY_ITS_AUTHORS[name])
    for tag, probability in BY_ITS_AUTHORS[name].items():
        assert found[tag] == pytest.approx(probability, abs=1e-3)
    assert len(found) == 50


@pytest.mark.parametrize("name", BY_ITS_AUTHORS)
def test_a_copy_keeps_its_tags_and_noise_does_not(judge_of, chord, name):
    noise = 0.3 * np.random.default_rng(1).standard_normal(len(chord))
    judge = judge_of(name)
    copy, other = (judge.compare(chord, found, RATE_HZ) for found in (chord, noise))
    assert copy == dict.fromkeys(judge.measures, 1.0)
    assert other[judge.measures[0]] < 1.0


def test_less_than_a_patch_is_refused(judge_of, chord):
    with pytest.raises(SettingsError, match=r"2\.90 s of sound: tags need at least 3 s"):
        judge_of("tags-magnatagatune").tag(chord[: round(2.9 * RATE_HZ)], RATE_HZ)


def test_a_folder_without_checkpoint_is_named(tmp_path):
    with pytest.raises(JudgeMissing, match="holds no checkpoint of musicnn"):
        load_judge("tags-magnatagatune", folder=str(tmp_path))


def test_what_is_no_checkpoint_is_refused(tmp_path):
    index, data = tmp_path / ".index", tmp_path / ".data-00000-of-00001"
    index.write_bytes(b"no table" * 20)
    data.write_bytes(b"")
    with pytest.raises(SettingsError, match=r"\.index is no index of a TensorFlow checkpoint"):
        read_checkpoint(index, data)


def test_measures_of_both_are_told_apart(judge_of, chord):
    measured = [set(judge_of(name).compare(chord, chord, RATE_HZ)) for name in BY_ITS_AUTHORS]
    assert not set.intersection(*measured)
