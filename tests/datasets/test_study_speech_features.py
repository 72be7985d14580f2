"""A study hears what a speech model hears, run by run, beside what it has."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from subtr.datasets.study import Study, with_speech_features
from subtr.experiments.experiment import Experiment
from subtr.params import SettingsError, StudyError
from subtr.stimulus.speech import FrameGrid, SpeechFeatureParams, SpeechModel
from subtr.timeline import Clock

RATE_HZ = 16_000
PARAMS = SpeechFeatureParams(model="loudness")


class Loudness(SpeechModel):
    """The level of each frame, and its negative."""

    name, supervised, digest = "loudness", True, "1"
    grid = FrameGrid(RATE_HZ, 160, 160)

    def features(self, sound):
        level = sound[: len(sound) // 160 * 160].reshape(-1, 160).mean(1)
        return np.stack([level, -level], axis=1).astype(np.float32)


@pytest.fixture(autouse=True)
def _loudness(monkeypatch, tmp_path):
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("subtr.datasets.study.open_speech_model", lambda model, layer: Loudness())


def ramp(path, start):
    """As loud as the seconds that have passed, over 100, from ``start`` on."""
    sound = start + np.arange(20 * RATE_HZ) / RATE_HZ / 100
    soundfile.write(path, sound.astype(np.float32), RATE_HZ, subtype="FLOAT")
    return path


def test_features_of_the_model_come_beside_those_that_are_there(tmp_path):
    clock = Clock(1.5, 6, 1.0, frames_per_tr=8)
    noted = np.ones((6, 8, 1), np.float32)
    study = Study(
        "s", clock, media=ramp(tmp_path / "a.wav", 0), features=noted, feature_names=("noted",)
    )
    heard = with_speech_features(study, PARAMS)
    assert heard.feature_names == ("noted", "loudness 0", "loudness 1")
    np.testing.assert_array_equal(heard.features[..., 0], 1)
    np.testing.assert_allclose(heard.features[..., 1] * 100, clock.frame_times_s(), atol=1e-3)
    assert "layer -1, learned from transcribed speech (supervised)" in heard.notes[-1]


def test_each_run_is_heard_from_its_own_file(tmp_path):
    files = [ramp(tmp_path / f"{name}.wav", start) for name, start in (("a", 0), ("b", 0.5))]
    study = Study(
        "s",
        Clock(2.0, 7, frames_per_tr=4),
        run_of_tr=np.repeat([0, 1], [3, 4]),
        run_stimuli=((files[0], 1.0), (files[1], 5.0)),
    )
    found = with_speech_features(study, PARAMS).features[..., 0] * 100
    of_runs = [Clock(2.0, 3, 1.0, 4).frame_times_s(), 50 + Clock(2.0, 4, 5.0, 4).frame_times_s()]
    np.testing.assert_allclose(found, np.concatenate(of_runs), atol=1e-3)


def test_a_study_without_a_recording_is_told_so(tmp_path):
    study = Study("s", Clock(2.0, 7))
    with pytest.raises(StudyError, match="no sound file at TR 0, so there are no speech_features"):
        with_speech_features(study, PARAMS)
    second = replace(
        study,
        run_of_tr=np.repeat([0, 1], [3, 4]),
        run_stimuli=((ramp(tmp_path / "a.wav", 0), 0.0), (None, 0.0)),
    )
    with pytest.raises(StudyError, match="no sound file at TR 3"):
        with_speech_features(second, PARAMS)


def test_a_study_file_asks_for_them(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    told = (
        "load: {n_trs: 8, frames_per_tr: 8, pictures: null}\nspeech_features: {model: loudness}\n"
    )
    (folder / "study_film.yaml").write_text(told)
    film = ramp(tmp_path / "a.wav", 0)
    runs = str(tmp_path / "runs")
    study = Experiment.open("film", params=str(folder), film=str(film), runs=runs).study
    assert study.mel is not None
    wanted = study.clock.frame_times_s()
    np.testing.assert_allclose(study.features[..., 0] * 100, wanted, atol=1e-3)
    (folder / "study_film.yaml").write_text(
        told.replace("model: loudness", "model: loudness, laver: 2")
    )
    with pytest.raises(
        SettingsError, match=r"speech_features.laver: unknown key. Did you mean 'layer'"
    ):
        Experiment.open("film", params=str(folder), film=str(film), runs=runs)
