"""A model in ONNX form is read from where the user has it."""

import numpy as np
import pytest
from onnx_file import write_listener

from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing
from subtr.params import SettingsError

RATE_HZ = 16000


@pytest.fixture
def listener(tmp_path):
    """Class k hears sample k of each frame of 160."""
    return write_listener(tmp_path / "listener.onnx", np.eye(160, 5))


def pulses(*strengths):
    """A second in which sample k of each frame has the k-th strength."""
    frame = np.zeros(160, np.float32)
    frame[: len(strengths)] = strengths
    return np.tile(frame, 100)


def test_scores_are_the_mean_over_frames(judge_of, listener):
    judge = judge_of("events", model=str(listener))
    sound = pulses(0.1, 0.9, 0.0, 0.5, 0.2)
    sound[: len(sound) // 2] = 0.0
    np.testing.assert_allclose(
        judge.scores(sound, RATE_HZ), [0.05, 0.45, 0.0, 0.25, 0.1], atol=1e-6
    )


def test_the_likeliest_events_are_compared(judge_of, listener):
    judge = judge_of("events", model=str(listener), n_classes=2)
    original = pulses(0.9, 0.8, 0.1, 0.1)
    for found, kept in (
        (original, 1.0),
        (pulses(0.8, 0.9), 1.0),
        (pulses(0.9, 0.0, 0.5), 0.5),
        (pulses(0.0, 0.0, 0.5, 0.4), 0.0),
    ):
        assert judge.compare(original, found, RATE_HZ) == {"events": kept}


def test_what_is_missing_or_no_model_is_named(judge_of, tmp_path, listener):
    judge_of("events", model=str(listener))
    with pytest.raises(JudgeMissing, match=r"no package carries one. Give model="):
        load_judge("events")
    with pytest.raises(JudgeMissing, match=r"nowhere\.onnx is not at hand"):
        load_judge("events", model=str(tmp_path / "nowhere.onnx"))
    (tmp_path / "other.onnx").write_bytes(b"no model")
    broken = load_judge("events", model=str(tmp_path / "other.onnx"))
    with pytest.raises(SettingsError, match=r"other\.onnx is no readable ONNX model"):
        broken.scores(pulses(1.0), RATE_HZ)


def test_a_sound_that_the_model_cannot_hear_is_refused(judge_of, listener):
    with pytest.raises(SettingsError, match=r"cannot hear \(15999,\)"):
        judge_of("events", model=str(listener)).scores(pulses(1.0)[:-1], RATE_HZ)
