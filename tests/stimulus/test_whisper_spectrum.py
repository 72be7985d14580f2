"""A study's log-mel, made into Whisper's, is what Whisper would have heard of the sound."""

import librosa
import numpy as np
import pytest
import torch

from subtr.datasets.simulated_film import VOICES, Line, speak
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.stimulus.pretrained import WhisperSpectrum
from subtr.timeline import Clock

RATE_HZ, TR_S, N_TRS = 16_000, 1.5, 4


@pytest.fixture(scope="module")
def sound():
    text = "the red dog found a letter near every open window and the teacher counted seven lamps"
    (spoken,) = speak([Line(f"{text} {text}", VOICES[0])], RATE_HZ)
    return 0.9 * spoken[: int(N_TRS * TR_S * RATE_HZ)]


def log_mel_of(sound, settings, n_frames):
    clock = Clock(TR_S, N_TRS, 0.0, n_frames)
    return torch.from_numpy(log_mel_of_sound(sound, RATE_HZ, clock, settings))


def heard_by_whisper(sound):
    """As the paper makes it, with the floor and the scale of each TR alone."""
    power = librosa.feature.melspectrogram(
        y=sound, sr=RATE_HZ, n_fft=400, hop_length=160, n_mels=80
    )
    in_tens = np.log10(np.maximum(power, 1e-10))[:, : int(N_TRS * TR_S * 100)]
    trs = in_tens.reshape(80, N_TRS, -1).transpose(1, 0, 2)
    return (np.maximum(trs, trs.max(axis=(1, 2), keepdims=True) - 8) + 4) / 4


@pytest.mark.parametrize(
    ("settings", "n_frames", "least"),
    [
        # Windows of 64 ms, 43 a second, cannot say what those of 25 ms hear.
        (MelSettings(), 64, 0.88),
        (MelSettings(n_mels=80, window_samples=512), 150, 0.95),
        (MelSettings(rate_hz=22050, n_mels=80, window_samples=1024), 129, 0.95),
    ],
)
def test_speech_is_what_whisper_would_have_heard(sound, settings, n_frames, least):
    log_mel = log_mel_of(sound, settings, n_frames)
    found = WhisperSpectrum(settings, TR_S, n_frames)(log_mel, log_mel).numpy()
    expected = heard_by_whisper(sound)
    assert found.shape == expected.shape
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > least
    assert abs((found - expected).mean()) < 0.1 * expected.std()


def test_each_tr_is_heard_by_itself_and_gradients_flow(sound):
    log_mel = log_mel_of(sound, MelSettings(), 64).requires_grad_()
    spectrum = WhisperSpectrum(MelSettings(), TR_S, 64)
    found = spectrum(log_mel, log_mel)
    found[1].square().sum().backward()
    assert log_mel.grad.flatten(1).abs().amax(1).gt(0).tolist() == [False, True, False, False]
    torch.testing.assert_close(spectrum(log_mel[2:], log_mel[2:]), found[2:])
    # Louder is louder by as much in every band: 10 times the amplitude is 2 powers of ten.
    louder = spectrum(log_mel + np.log(10), log_mel + np.log(10))
    torch.testing.assert_close(louder, found + 2 / 4, atol=1e-4, rtol=0)
