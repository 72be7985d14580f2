"""Which vocoder is chosen, and the sound file that is written."""

import numpy as np
import pytest
import soundfile

from subtr.decoders import vocoders as choice
from subtr.decoders.griffin_lim import GriffinLim
from subtr.decoders.hifi_gan import HIFI_GAN_MEL, WeightsError
from subtr.decoders.vocoders import SoundError, VocoderParams, write_sound
from subtr.decoders.vocoders import choose_vocoder as choose
from subtr.params import SettingsError, validate
from subtr.stimulus.mel import MelSettings


class Fitting(GriffinLim):
    """In place of a generator whose weights are there."""

    name = "hifi_gan"


@pytest.mark.parametrize("content", ["music", "mixed"])
def test_what_is_not_speech_goes_by_griffin_lim(content):
    chosen = choose(content, HIFI_GAN_MEL)
    assert isinstance(chosen.vocoder, GriffinLim)
    assert f"griffin_lim: the sound is {content}" in chosen.why


def test_speech_goes_by_hifi_gan_where_it_can(monkeypatch):
    monkeypatch.setattr(choice, "HifiGan", Fitting)
    chosen = choose("speech", HIFI_GAN_MEL)
    assert isinstance(chosen.vocoder, Fitting)
    assert chosen.why == "Sound by hifi_gan: the sound is speech."


@pytest.mark.parametrize(
    "error", [WeightsError("the package is not installed"), SettingsError("n_mels = 128")]
)
def test_speech_goes_by_griffin_lim_for_a_reason(monkeypatch, error):
    def refuse(settings):
        raise error

    monkeypatch.setattr(choice, "HifiGan", refuse)
    chosen = choose("speech", MelSettings())
    assert isinstance(chosen.vocoder, GriffinLim)
    assert chosen.why == f"Sound by griffin_lim: {error}"


def test_a_params_file_names_a_vocoder_and_its_options():
    params = validate(VocoderParams, {"name": "griffin_lim", "options": {"n_iter": 3}}, "a.yaml")
    chosen = params.choose(MelSettings(n_mels=40))
    assert (chosen.vocoder.n_iter, chosen.vocoder.settings.n_mels) == (3, 40)
    assert "as the params file says" in chosen.why
    assert isinstance(VocoderParams().choose(MelSettings()).vocoder, GriffinLim)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "griffin_lin"}, "griffin_lim"),
        ({"name": "griffin_lim", "options": {"n_itr": 3}}, "n_iter"),
        ({"options": {"n_iter": 3}}, "expected its name"),
        ({"content": "talk"}, "speech"),
        ({"kontent": "speech"}, "content"),
    ],
)
def test_what_is_misspelt_is_named(values, said):
    with pytest.raises(SettingsError, match=said):
        validate(VocoderParams, values, "a.yaml")


RATE_HZ = 16000
SOUND = (0.5 * np.sin(np.arange(RATE_HZ) / 5)).astype(np.float32)


@pytest.mark.parametrize("pieces", [SOUND, iter(np.split(SOUND, [10, 7000]))])
def test_written_sound_reads_back(tmp_path, pieces):
    read, rate_hz = soundfile.read(write_sound(tmp_path / "a.wav", pieces, RATE_HZ))
    assert rate_hz == RATE_HZ
    np.testing.assert_allclose(read, SOUND, atol=2 / 32768)


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    with pytest.raises(SoundError, match=r"missing.a\.wav cannot be written"):
        write_sound(tmp_path / "missing" / "a.wav", SOUND, RATE_HZ)
    with pytest.raises(SoundError, match=r"Expected a \.wav"):
        write_sound(tmp_path / "a.xyz", SOUND, RATE_HZ)

    def broken():
        yield SOUND
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_sound(tmp_path / "a.flac", broken(), RATE_HZ)
    assert not list(tmp_path.iterdir())
