"""Features of speech models lie at the right second, however long the film and its blocks."""

from importlib.util import find_spec

import numpy as np
import pytest
import soundfile
from tiny_speech_models import save_tiny

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
