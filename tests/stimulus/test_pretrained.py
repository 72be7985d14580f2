"""Weights are read as they lie in the file; the network says what the published one says."""

import struct

import librosa
import numpy as np
import pytest
import torch

from subtr.datasets.simulated_film import VOICES, Line, speak
from subtr.params import SettingsError
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.stimulus.pretrained import WhisperNetwork, WhisperSpectrum, read_weights
from subtr.stimulus.speech import SpeechModelError, open_speech_model
from subtr.timeline import Clock

WIDTH, N_MELS = 64, 8


def model_file(file, weights, cut=0):
    """A file in CTranslate2's form, version 6."""
    types = {np.dtype(np.float32): 0, np.dtype(np.int8): 1, np.dtype(np.float16): 4}
    content = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(weights))
    for name, values in weights.items():
        content += text(name) + struct.pack("<B", values.ndim)
        content += struct.pack(f"<{values.ndim}I", *values.shape)
        content += struct.pack("<BI", types[values.dtype], values.nbytes) + values.tobytes()
    file.write_bytes(content[: len(content) - cut])
    return file


def text(said):
    return struct.pack("<H", len(said) + 1) + said.encode() + b"\0"


def encoder_weights(dtype=np.float32, n_layers=2):
    rng = np.random.default_rng(0)
    shapes = {"conv1": (WIDTH, N_MELS, 3), "conv2": (WIDTH, WIDTH, 3)}
    norms = ["layer_norm"]
    for layer in (f"layer_{index}" for index in range(n_layers)):
        shapes |= {f"{layer}/self_attention/linear_0": (3 * WIDTH, WIDTH)}
        shapes |= {f"{layer}/self_attention/linear_1": (WIDTH, WIDTH)}
        shapes |= {f"{layer}/ffn/linear_0": (2 * WIDTH, WIDTH)}
        shapes |= {f"{layer}/ffn/linear_1": (WIDTH, 2 * WIDTH)}
        norms += [f"{layer}/{part}/layer_norm" for part in ("self_attention", "ffn")]
    found = {"position_encodings/encodings": rng.standard_normal((40, WIDTH))}
    for name, shape in shapes.items():
        found |= {f"{name}/weight": 0.1 * rng.standard_normal(shape)}
        found |= {f"{name}/bias": 0.1 * rng.standard_normal(shape[0])}
    for name in norms:
        found |= {f"{name}/gamma": np.ones(WIDTH), f"{name}/beta": np.zeros(WIDTH)}
    return {f"encoder/{name}": values.astype(dtype) for name, values in found.items()}


def test_weights_are_read_as_they_were_written(tmp_path):
    weights = encoder_weights(np.float16) | {"decoder/scale": np.array(2.0, np.float32)}
    found = read_weights(model_file(tmp_path / "model.bin", weights))
    assert found.keys() == weights.keys()
    for name, values in weights.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


def test_each_layer_is_given_and_gradients_reach_the_sound_alone(tmp_path):
    network = WhisperNetwork(model_file(tmp_path / "model.bin", encoder_weights()))
    log_mel = torch.randn(3, N_MELS, 20, requires_grad=True)
    layers = network(log_mel)
    assert [tuple(layer.shape) for layer in layers] == [(3, 10, WIDTH)] * 2
    torch.testing.assert_close(layers[-1].mean(2), torch.zeros(3, 10), atol=1e-5, rtol=0)
    layers[0].square().sum().backward()
    assert log_mel.grad.abs().min() > 0
    assert not list(network.parameters())


def test_what_is_no_model_is_named(tmp_path):
    file = tmp_path / "model.bin"
    for cut in (1, 5000):
        with pytest.raises(SettingsError, match=r"model\.bin: no model .* cut short at byte"):
            read_weights(model_file(file, encoder_weights(), cut))
    file.write_bytes(b"something else")
    with pytest.raises(SettingsError, match=r"no model in CTranslate2's form"):
        read_weights(file)
    quantised = {"encoder/conv1/weight": np.zeros((2, 2, 3), np.int8)}
    with pytest.raises(SettingsError, match="int8; expected weights that were not quantised"):
        WhisperNetwork(model_file(file, quantised))
    with pytest.raises(SettingsError, match="holds no encoder of Whisper"):
        WhisperNetwork(model_file(file, {"decoder/scale": np.zeros(1, np.float32)}))


@pytest.mark.parametrize("name", ["whisper-tiny.en", "whisper-base"])
def test_the_last_layer_is_the_published_one(name):
    try:
        encoder = open_speech_model(name)
    except SpeechModelError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(0)
    sound = np.sin(np.cumsum(rng.uniform(0.01, 0.5, 48_000))).astype(np.float32)
    whole = np.pad(sound, (0, 480_000 - len(sound)))
    log_mel = torch.from_numpy(encoder.log_mel(whole))[None]
    network = WhisperNetwork(encoder.folder / "model.bin")
    with torch.no_grad():
        found = network(log_mel)[-1][0, : len(sound) // 320].numpy()
    expected = encoder.features(sound)
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


# A study's log-mel, made into Whisper's, is what Whisper would have heard of the sound.


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
