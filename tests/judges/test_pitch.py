"""Pitch of sounds whose pitch is known."""

import numpy as np
import pytest

RATE_HZ = 16000


def tone(f0_hz, duration_s=2.0):
    """A buzzing tone of ten harmonics; its pitch may glide."""
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(f0_hz, time_s.shape)) / RATE_HZ
    return sum(np.sin(k * phase) / k for k in range(1, 11)).astype(np.float32) * 0.2


@pytest.mark.parametrize("f0_hz", [90.0, 155.0, 262.0, 440.0])
def test_a_known_pitch_is_found(judge_of, f0_hz):
    found_hz, voiced = judge_of("pitch").track(tone(f0_hz), RATE_HZ)
    assert voiced[5:-5].all()
    assert np.abs(1200 * np.log2(found_hz[5:-5] / f0_hz)).max() < 20


@pytest.mark.parametrize(("cents", "kept"), [(0, 1.0), (30, 1.0), (80, 0.0), (1200, 0.0)])
def test_agreement_ends_at_fifty_cents(judge_of, cents, kept):
    measures = judge_of("pitch").compare(tone(200.0), tone(200.0 * 2 ** (cents / 1200)), RATE_HZ)
    assert measures["pitch"] == pytest.approx(kept, abs=0.05)
    assert measures["voicing"] == pytest.approx(1.0, abs=0.05)


def test_half_a_melody_is_half(judge_of):
    low, high = tone(150.0), tone(300.0)
    measures = judge_of("pitch").compare(np.r_[low, low], np.r_[low, high], RATE_HZ)
    assert measures["pitch"] == pytest.approx(0.5, abs=0.05)


def test_speech_with_itself_with_noise_and_with_shuffled_frames(judge_of, speech, noisy, shuffled):
    copy, noise, mixed = (
        judge_of("pitch").compare(speech, found, RATE_HZ) for found in (speech, noisy, shuffled)
    )
    assert copy == {"pitch": 1.0, "voicing": 1.0}
    assert mixed["pitch"] < noise["pitch"] < 1.0
    assert mixed["voicing"] < 1.0


def test_without_a_voice_there_is_no_pitch_to_keep(judge_of):
    silence = np.zeros(RATE_HZ, np.float32)
    measures = judge_of("pitch").compare(silence, silence, RATE_HZ)
    assert np.isnan(measures["pitch"])
    assert measures["voicing"] == 1.0
