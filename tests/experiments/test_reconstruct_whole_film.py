"""A film through numbers and back: the same as in one piece, and in sync to its end."""

import math

import numpy as np
import pytest
from tiny_films import MEL, SIZE, ends_s, event_s, film_of, model_file, reconstructed

from subtr.experiments import reconstruct as drawing
from subtr.experiments.reconstruct import Parts, plan_film
from subtr.models.autoencoder import FeatureParams, VectorFitParams
from subtr.models.saved import load_autoencoder
from subtr.stimulus.media import probe
from subtr.stimulus.mel import log_mel_of_media
from subtr.stimulus.pictures import PictureSettings, iter_pictures, pictures_of_media
from subtr.stimulus.speech import SpeechModelError


@pytest.mark.parametrize("n_trs", [1, 8, 9, 10, 14])
@pytest.mark.parametrize("modality", ["sound", "pictures"])
def test_blocks_are_drawn_as_the_whole_film_would_be(tmp_path, monkeypatch, modality, n_trs):
    monkeypatch.setattr(drawing, "_MOST_TRS", 4)
    film = film_of(tmp_path / "film.mp4", 1.5 * n_trs - 0.4)
    refined = {"name": "refined", "hidden_dim": 4, "depth": 2}
    conv = {"name": "conv", "channels": [4]}
    file = model_file(tmp_path, modality, refined if modality == "sound" else conv)
    plan, model = plan_film(film, [file]), load_autoencoder(file)
    parts = Parts(tmp_path / "parts", plan.job)
    drawing.draw_blocks(plan, modality, parts)
    clock = plan.clock_of(modality)
    assert clock.n_trs == n_trs
    if modality == "sound":
        whole = np.array(log_mel_of_media(film, clock, MEL))
    else:
        settings = PictureSettings(height=SIZE[0], width=SIZE[1], frames_per_tr=4)
        whole = np.array(pictures_of_media(film, clock, settings))
    expected = model.decoded(model.vectors(whole, 1.5))
    found = np.concatenate(list(parts.read(modality)))
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, atol=1e-4 if modality == "sound" else 1)
    assert expected.std() > 0.1


@pytest.mark.parametrize("tr_s", [1.5, 1.49, 0.8])
def test_flash_and_click_near_the_end_stay_together_and_both_tracks_end_there(tmp_path, tr_s):
    duration_s, at_s = 31.3, 30.0
    film = film_of(tmp_path / "film.mp4", duration_s, at_s)
    files = [model_file(tmp_path, "sound"), model_file(tmp_path, "pictures")]
    out = reconstructed(film, tmp_path / "out.mp4", files, tr_s=tr_s)
    picture_s = tr_s / 4
    heard_s, shown_s = event_s(out, duration_s)
    assert abs(heard_s - at_s) < 0.05
    assert abs(shown_s - at_s) <= picture_s
    assert abs(heard_s - shown_s) <= picture_s
    ends = ends_s(out)
    whole_s = probe(film).duration_s
    for kind in ("video", "video declared"):
        assert -1e-3 <= ends[kind] - whole_s < picture_s
        assert abs(ends[kind] - ends["audio declared"]) <= picture_s
    assert ends["audio declared"] == pytest.approx(whole_s, abs=0.02)
    n_pictures = sum(1 for _ in iter_pictures(out, 8, 6))
    assert n_pictures == math.ceil(whole_s / picture_s - 1e-6)


def test_pictures_that_pass_through_come_back(tmp_path):
    film = film_of(tmp_path / "film.mp4", 20.0)
    out = reconstructed(film, tmp_path / "out.mp4", [model_file(tmp_path, "pictures")])
    assert probe(out).sound_rate_hz is None
    settings = PictureSettings(height=SIZE[0], width=SIZE[1], frames_per_tr=4)
    clock = plan_film(film, [model_file(tmp_path, "pictures")]).clock
    given, found = (pictures_of_media(of, clock, settings) for of in (film, out))
    assert np.abs(np.array(given, float) - np.array(found, float)).mean() < 4
    assert np.std(given) > 40


def test_sound_alone_comes_back_alone(tmp_path):
    film = film_of(tmp_path / "film.mp4", 20.0)
    file = model_file(tmp_path, "sound")
    out = reconstructed(film, tmp_path / "out.mp4", [file])
    assert probe(out).width is None
    clock = plan_film(film, [file]).clock_of("sound")
    given, found = (np.array(log_mel_of_media(of, clock, MEL)) for of in (film, out))
    # Of noise, what is left is what phases do not agree on.
    assert np.corrcoef(given.ravel(), found.ravel())[0, 1] > 0.7


def test_odd_pictures_and_rates_that_aac_does_not_know_are_written_too(tmp_path):
    film = film_of(tmp_path / "film.mp4", 7.0, 3.0)
    mel = MEL.model_copy(update={"rate_hz": 9000})
    files = [
        model_file(tmp_path, "sound", mel=mel),
        model_file(tmp_path, "pictures", size=(5, 7)),
    ]
    out = reconstructed(film, tmp_path / "out.mp4", files)
    info = probe(out)
    assert (info.sound_rate_hz, info.height, info.width) == (48000, 6, 8)
    heard_s, shown_s = event_s(out, 7.0)
    assert heard_s == pytest.approx(3.0, abs=0.05)
    assert shown_s == pytest.approx(3.0, abs=1.5 / 4)


def test_fitted_vectors_draw_the_film_nearer(tmp_path):
    film = film_of(tmp_path / "film.mp4", 12.0)
    file = model_file(tmp_path, "sound", {"name": "linear"})
    errors = []
    for n_steps in (0, 20):
        plan = plan_film(film, [file], fit=VectorFitParams(steps=n_steps))
        parts = Parts(tmp_path / f"parts{n_steps}", plan.job)
        drawing.draw_blocks(plan, "sound", parts)
        whole = np.array(log_mel_of_media(film, plan.clock_of("sound"), MEL))
        errors.append(np.square(np.concatenate(list(parts.read("sound"))) - whole).mean())
    assert errors[1] < 0.9 * errors[0]


def test_features_of_speech_are_fitted_in_sound_alone(tmp_path, monkeypatch):
    asked = []

    def error(self, *units):
        asked.append(units)
        # Nothing is heard: the squared error alone is left.
        return None

    monkeypatch.setattr(VectorFitParams, "check", lambda self: None)
    monkeypatch.setattr(FeatureParams, "error", error)
    film = film_of(tmp_path / "film.mp4", 4.0)
    files = [model_file(tmp_path, "sound"), model_file(tmp_path, "pictures")]
    plan = plan_film(film, files, fit=VectorFitParams(steps=1, features=FeatureParams()))
    for modality, times in (("pictures", 0), ("sound", 1)):
        drawing.draw_blocks(plan, modality, Parts(tmp_path / modality, plan.job))
        assert len(asked) == times
    assert asked[0][:3] == (MEL, 1.5, plan.clock_of("sound").frames_per_tr)
    plain = plan_film(film, files, fit=VectorFitParams(steps=1))
    assert plain.job != plan.job


def test_features_whose_weights_are_missing_are_said_at_once(tmp_path, monkeypatch):
    def missing(model):
        raise SpeechModelError(f"{model}: its weights are not installed.")

    monkeypatch.setattr("subtr.models.autoencoder.WhisperEncoder", missing)
    film = film_of(tmp_path / "film.mp4", 4.0)
    with pytest.raises(SpeechModelError, match=r"whisper-tiny\.en: its weights"):
        plan_film(
            film,
            [model_file(tmp_path, "sound")],
            fit=VectorFitParams(steps=1, features=FeatureParams()),
        )
