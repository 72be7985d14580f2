"""Vectors are drawn to what a network hears, TR by TR, and pay for it in squared error."""

import numpy as np
import pytest
import torch
from torch import nn

from subtr.datasets.study import Fold, Study
from subtr.decoders import DECODERS
from subtr.models.autoencoder import FeatureError, FeatureParams, VectorFitParams, fitted_vectors
from subtr.params import SettingsError, validate
from subtr.stimulus.speech import SpeechModelError
from subtr.timeline import Clock, Split
from subtr.training.autoencoders import reconstruct_sound
from subtr.training.systems import PictureParams, SoundParams

N_TRS, N_FRAMES, N_BANDS, DIM = 5, 8, 4, 3


class LowBands(nn.Module):
    """Hears the lower half of the bands, in two layers."""

    def forward(self, log_mel):
        low = log_mel[..., : N_BANDS // 2]
        return [low, low.mean(1, keepdim=True) - 1]


class AsItIs(nn.Module):
    def forward(self, log_mel, like):
        return log_mel


def error_of(weight=1.0, scale=2.0):
    return FeatureError(LowBands(), AsItIs(), torch.tensor(0.5), torch.tensor(scale), weight)


def linear_decoder():
    torch.manual_seed(0)
    decoder = DECODERS.parts["linear"](DIM, N_FRAMES, N_BANDS)
    basis, _ = torch.linalg.qr(torch.randn(N_FRAMES * N_BANDS, DIM))
    decoder.start_from(basis, torch.zeros(N_FRAMES * N_BANDS))
    return decoder, basis


def test_the_error_is_relative_to_the_variance_of_each_layer_and_tr():
    torch.manual_seed(0)
    frames, drawn = torch.randn(2, N_TRS, N_FRAMES, N_BANDS)
    low, found = frames[..., :2], drawn[..., :2]
    first = (low - found).square().mean((1, 2)) / low.var((1, 2))
    means, others = low.mean(1), found.mean(1)
    second = (means - others).square().mean(1) / means.var(1)
    expected = 3 * (first + second) / 2
    torch.testing.assert_close(error_of(weight=3.0).of(frames)(drawn), expected)
    assert error_of().of(frames)(frames).abs().max() == 0


def test_vectors_give_up_what_is_not_heard():
    (decoder, basis), error = linear_decoder(), error_of(weight=30.0)
    frames = torch.randn(N_TRS, N_FRAMES, N_BANDS)
    nearest = frames.flatten(1) @ basis
    found = fitted_vectors(decoder, nearest, frames, 200, features=error)
    heard = error.of(frames)
    with torch.no_grad():
        near, fitted = decoder(nearest[None])[0], decoder(found[None])[0]
        assert (heard(fitted) < 0.95 * heard(near)).all()
        assert (fitted - frames).square().sum() > (near - frames).square().sum()


@pytest.mark.parametrize("changed", range(N_TRS))
def test_what_is_known_of_a_tr_still_comes_from_that_tr_alone(changed):
    (decoder, _), error = linear_decoder(), error_of()
    vectors, frames = torch.randn(N_TRS, DIM), torch.randn(N_TRS, N_FRAMES, N_BANDS)
    other = frames.clone()
    other[changed] += torch.randn(N_FRAMES, N_BANDS)
    moved = fitted_vectors(decoder, vectors, frames, 5, features=error)
    moved = moved - fitted_vectors(decoder, vectors, other, 5, features=error)
    assert (moved.abs().amax(1) > 1e-6).tolist() == [tr == changed for tr in range(N_TRS)]


def test_params_name_what_cannot_be():
    features = {"fit_steps": 4, "fit_features": {"model": "whisper-base"}}
    assert validate(SoundParams, features, "a").vector_fit.features.model == "whisper-base"
    for given in (features, {"loss": {"features": {}}}):
        with pytest.raises(SettingsError, match="expected no features of speech for pictures"):
            validate(PictureParams, given, "a")
    with pytest.raises(SettingsError, match=r"whisper-tiny\.en"):
        validate(VectorFitParams, {"features": {"model": "hubert"}}, "a")
    for kind, given in (
        (VectorFitParams, {"features": {}}),
        (SoundParams, {"fit_features": {}}),
        (SoundParams, {"fit_steps": 1, "fit_step": -1.0}),
    ):
        with pytest.raises(SettingsError, match=r"steps = 0: expected 1 or more|step = -1"):
            validate(kind, given, "a")
    sound = validate(SoundParams, features, "a")
    assert sound.of_weights() == SoundParams().of_weights()


def test_missing_weights_are_said_before_the_training(tmp_path, monkeypatch):
    def missing(model, layer=-1):
        raise SpeechModelError(f"{model}: its weights are not installed.")

    monkeypatch.setattr("subtr.models.autoencoder.WhisperEncoder", missing)
    params = SoundParams.model_validate({"fit_steps": 2, "fit_features": {}})
    study = Study("s", Clock(1.5, 6, 0.0, N_FRAMES), mel=torch.randn(6, N_FRAMES, 4).numpy())
    trs = torch.arange(6).numpy()
    split = Split(trs[:3], trs[3:4], trs[4:])
    with pytest.raises(SpeechModelError, match="not installed"):
        reconstruct_sound(Fold(study, split, params.of_size(DIM), tmp_path, 0, "s"))
    assert not list(tmp_path.iterdir())


def test_what_is_heard_is_learned_and_weights_are_read_without_it(tmp_path, monkeypatch):
    """High bands are twice as strong, so one number tells of them, unless low ones are heard."""
    monkeypatch.setattr(FeatureParams, "error", lambda self, *given: error_of(30.0, scale=1.0))
    rng = np.random.default_rng(0)
    level = rng.standard_normal((40, 1, N_BANDS)) * [1, 1, 2, 2]
    mel = np.repeat(level, N_FRAMES, axis=1).astype(np.float32)
    mel += 0.1 * rng.standard_normal(mel.shape).astype(np.float32)
    study = Study("s", Clock(1.5, 40, 0.0, N_FRAMES), mel=mel)
    trs = np.arange(40)
    split = Split(trs[:24], trs[24:30], trs[30:])
    training = {"max_epochs": 8, "check_every_epochs": 2, "learning_rate": 0.02}
    errors = {}
    for name, loss in (("plain", {}), ("heard", {"features": {}})):
        params = {"decoder": {"name": "linear"}, "loss": loss, "training": training}
        params |= {"stream": {"aggregator": {"name": "linear"}}}
        task = Fold(
            study, split, SoundParams.model_validate(params).of_size(2), tmp_path / name, 0, name
        )
        found, history = reconstruct_sound(task)
        errors[name] = np.square(found - mel[split.test])[..., :2].mean()
    assert errors["heard"] < 0.7 * errors["plain"]
    of_features = history.query("part == 'validation' and name == 'features'")["value"]
    assert of_features.iloc[-1] < of_features.iloc[0]

    def unavailable(self, *given):
        raise SpeechModelError("not installed")

    monkeypatch.setattr(FeatureParams, "error", unavailable)
    again, _ = reconstruct_sound(task)
    np.testing.assert_array_equal(again, found)
