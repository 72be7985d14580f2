"""Speakers who are known, heard again."""

import numpy as np
import pytest
import soundfile

from subtr.datasets.simulated_film import VOICES, Line, speak
from subtr.params import SettingsError

RATE_HZ = 8000


@pytest.fixture(scope="module")
def takes(request):
    """Speaker to two utterances of five digits each: takes 0 to enrol, takes 1 to judge."""
    folder = request.getfixturevalue("data_dir") / "speech" / "fsdd" / "recordings"
    names = sorted({file.stem.split("_")[1] for file in folder.glob("*.wav")})

    def utterance(name, take):
        files = [folder / f"{digit}_{name}_{take}.wav" for digit in range(5)]
        return np.concatenate([soundfile.read(file, dtype="float32")[0] for file in files])

    return {name: [utterance(name, take) for take in range(2)] for name in names}


def test_six_speakers_are_told_apart(judge_of, takes):
    assert len(takes) == 6
    known = judge_of("speakers").enrol({name: two[:1] for name, two in takes.items()}, RATE_HZ)
    names, sounds = list(takes), [two[1] for two in takes.values()]
    assert known.accuracy(names, sounds, RATE_HZ) == 1.0
    assert known.accuracy(names[1:] + names[:1], sounds, RATE_HZ) == 0.0


def test_noise_is_nobody_in_particular(judge_of, takes):
    known = judge_of("speakers").enrol({name: two[:1] for name, two in takes.items()}, RATE_HZ)
    rng = np.random.default_rng(0)
    noise = [0.1 * rng.standard_normal(len(two[1])) for two in takes.values()]
    assert known.accuracy(list(takes), noise, RATE_HZ) <= 2 / 6
    silence = [np.zeros(len(two[1])) for two in takes.values()]
    assert known.accuracy(list(takes), silence, RATE_HZ) <= 2 / 6


def test_the_same_voice_is_nearer_than_another(judge_of):
    judge = judge_of("speakers")
    one, again, other = speak(
        [
            Line("the red dog found a letter near every open window", VOICES[0]),
            Line("another warm teacher carried this lamp behind the mountain", VOICES[0]),
            Line("another warm teacher carried this lamp behind the mountain", VOICES[3]),
        ],
        16000,
    )
    one, again, other = (judge.embed(sound, 16000) for sound in (one, again, other))
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    assert one @ again > one @ other + 0.05


def test_who_was_not_enrolled_is_refused(judge_of):
    judge = judge_of("speakers")
    hum = np.sin(np.arange(8000) / 20)
    with pytest.raises(SettingsError, match="two speakers or more"):
        judge.enrol({"anna": [hum]}, RATE_HZ)
    with pytest.raises(SettingsError, match=r"'anna': 1, 'bo': 0"):
        judge.enrol({"anna": [hum], "bo": []}, RATE_HZ)
    known = judge.enrol({"anna": [hum], "bo": [0.5 * hum[::2]]}, RATE_HZ)
    with pytest.raises(SettingsError, match=r"not enrolled: \['cy'\].*anna, bo"):
        known.accuracy(["cy"], [hum], RATE_HZ)
