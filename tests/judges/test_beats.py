"""Tempo and beats that are known."""

import numpy as np
import pytest
import soundfile

RATE_HZ = 22050


def clicks(bpm, duration_s=12.0, first_s=0.3):
    """Short noise bursts at a tempo."""
    sound = np.zeros(round(duration_s * RATE_HZ), np.float32)
    burst = np.random.default_rng(0).standard_normal(400) * np.exp(-np.arange(400) / 80)
    for start_s in np.arange(first_s, duration_s - 0.1, 60 / bpm):
        at = round(start_s * RATE_HZ)
        sound[at : at + 400] += 0.3 * burst
    return sound


@pytest.mark.parametrize("bpm", [80, 100, 120, 150])
def test_clicks_are_heard_at_their_tempo_and_time(judge_of, bpm):
    beats = judge_of("beats").track(clicks(bpm), RATE_HZ)
    assert beats.tempo_bpm == pytest.approx(bpm, rel=0.03)
    true_s = np.arange(0.3, 11.9, 60 / bpm)
    away_s = np.abs(beats.times_s[:, None] - true_s).min(axis=1)
    assert np.mean(away_s < 0.07) > 0.9


def test_a_copy_is_perfect(judge_of):
    sound = clicks(110)
    measures = judge_of("beats").compare(sound, sound, RATE_HZ)
    assert measures == {"tempo": 1.0, "tempo_octave": 0.0, "beats": 1.0}


def test_another_tempo_is_an_error_and_twice_the_tempo_an_octave_error(judge_of):
    other = judge_of("beats").compare(clicks(90), clicks(120), RATE_HZ)
    assert other["tempo"] == other["tempo_octave"] == 0.0
    assert other["beats"] < 0.7
    octave = judge_of("beats").compare(clicks(75), clicks(150), RATE_HZ)
    assert octave["tempo"] == 0.0
    assert octave["tempo_octave"] == 1.0


def test_beats_that_come_late_are_missed(judge_of):
    measures = judge_of("beats").compare(clicks(100), clicks(100, first_s=0.5), RATE_HZ)
    assert measures["tempo"] == 1.0
    assert measures["beats"] < 0.2


def test_silence_has_no_tempo(judge_of):
    silence = np.zeros(5 * RATE_HZ, np.float32)
    measures = judge_of("beats").compare(clicks(100, 5.0), silence, RATE_HZ)
    assert measures == {"tempo": 0.0, "tempo_octave": 0.0, "beats": 0.0}
    assert np.isnan(judge_of("beats").compare(silence, silence, RATE_HZ)["beats"])


def test_the_trumpet_loop_is_at_90(judge_of, data_dir):
    sound, rate_hz = soundfile.read(
        data_dir / "music" / "sorohanro-solo-trumpet-06.ogg", dtype="float32", always_2d=True
    )
    tempo_bpm = judge_of("beats").track(sound.mean(axis=1), rate_hz).tempo_bpm
    # Its maker says 90; twice is the same tempo to a listener.
    assert min(abs(tempo_bpm / (90 * times) - 1) for times in (0.5, 1, 2)) < 0.04
