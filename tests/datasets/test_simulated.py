from functools import lru_cache

import numpy as np
import pytest

from subtr.datasets.simulated import (
    CLASSES,
    broadband_level,
    generated_film,
    load_simulated,
    motion_drive,
    onset_drive,
    order_drive,
)
from subtr.datasets.simulated_film import iter_generated_pictures, picture_scenes
from subtr.metrics.bold import pearson_r
from subtr.models.ridge import FirRidge
from subtr.params import SettingsError, StudyError, StudyWarning, check_options
from subtr.stimulus.media import probe
from subtr.stimulus.mel import MelSettings
from subtr.stimulus.pictures import PictureSettings, pictures_at, write_film

DURATION_S = 90


@lru_cache
def study(seed=0, **options):
    return load_simulated(None, duration_s=DURATION_S, seed=seed, **options)


def of_class(name, values):
    return values[:, (study().parcels["tuning"] == name).to_numpy()]


def test_the_film_is_a_real_one_of_the_right_length():
    info = probe(generated_film(DURATION_S, 1.5, 0))
    assert info.duration_s == pytest.approx(DURATION_S, abs=0.1)
    assert (info.width, info.height, info.picture_hz) == (160, 90, 24)
    assert (info.sound_rate_hz, info.n_channels) == (16_000, 1)


def test_pictures_have_the_right_time_stamps():
    made = list(iter_generated_pictures(*picture_scenes(DURATION_S, 1.5, 0), 0))
    assert len(made) == DURATION_S * 24
    shown = [5, 700, 1500, 2150]
    times_s = np.array([(index + 0.5) / 24 for index in shown])
    film = generated_film(DURATION_S, 1.5, 0)
    for index, picture in zip(shown, pictures_at(film, times_s, 160, 90), strict=True):
        assert np.abs(picture.astype(int) - made[index]).mean() < 12


def test_the_film_is_written_once(tmp_path, monkeypatch):
    # A cache of its own: in the shared one, other tests write at the same time.
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    film = generated_film(30, 1.5, 0)
    written = film.stat().st_mtime_ns
    assert generated_film(30, 1.5, 0) == film
    assert film.stat().st_mtime_ns == written
    other = generated_film(30, 1.5, 1)
    assert set(film.parent.iterdir()) == {film, other}


def test_the_same_seed_gives_the_same_bold_and_another_does_not():
    again = load_simulated(None, duration_s=DURATION_S)
    for subject, bold in study().bold.items():
        np.testing.assert_array_equal(bold, again.bold[subject])
    other = study(seed=1)
    assert np.abs(other.bold["simulated 1"] - bold).max() > 0.1
    assert (study().labels["carrier"] != other.labels["carrier"]).any()


def test_the_truth_does_not_depend_on_what_a_model_is_shown():
    shown = study(
        frames_per_tr=16, mel=MelSettings(n_mels=20), pictures=PictureSettings(width=16, height=10)
    )
    assert shown.mel.shape == (60, 16, 20)
    np.testing.assert_array_equal(shown.bold["simulated 2"], study().bold["simulated 2"])


def test_every_class_has_its_parcels():
    parcels = study().parcels
    assert list(dict.fromkeys(parcels["tuning"])) == list(CLASSES)
    assert list(parcels.index[:5]) == ["mean 1", "mean 2", "mean 3", "mean 4", "rate 2 Hz 1"]
    assert study().bold["simulated 1"].shape == (60, 28)
    assert len(study().labels) == 60


@pytest.mark.parametrize("rate_hz", [2, 4, 8])
def test_planted_modulation_survives_the_codec(rate_hz):
    drive = of_class(f"rate {rate_hz} Hz", study().truth["group"]["drives"])[:, 0]
    own = (study().labels["rate_hz"] == rate_hz).to_numpy()
    assert drive[own].mean() - drive[~own].mean() > 1.0


def test_planted_order_onsets_level_and_speed_survive_the_codec():
    level = broadband_level(study().mel)
    for drive, column, least_r in (
        (order_drive(level, 1.5), "order", 0.8),
        (onset_drive(level, study().clock.frame_hz), "onsets", 0.85),
        (level.mean(1), "level", 0.9),
        (motion_drive(study().pictures), "speed_px_s", 0.6),
    ):
        r = np.corrcoef(drive, study().labels[column].astype(float))[0, 1]
        assert r > least_r, (column, r)


def test_a_single_subject_reaches_what_the_signal_to_noise_ratio_allows():
    for subject in study().subjects:
        bold, own = study().bold[subject], study().truth[subject]["signal"]
        np.testing.assert_allclose(own.var(0) / (bold - own).var(0), 1.0)
        r = pearson_r(bold, study().truth["group"]["signal"])
        assert r.mean() == pytest.approx(np.sqrt(0.5), abs=0.03)


def test_bold_of_a_class_follows_from_its_drive_in_time_not_fitted():
    signal, drives = study().truth["group"]["signal"], study().truth["group"]["drives"]
    train, test = np.arange(40), np.arange(42, 60)
    for name in CLASSES[1:]:
        drive, want = of_class(name, drives)[:, :1], of_class(name, signal)
        model = FirRidge(1.5, 22.5, alphas=[1e-3], n_inner_folds=2, gap_s=0).fit(drive, want, train)
        assert pearson_r(model.predict(drive, test), want[test]).min() > 0.9, name


def test_averaged_sound_is_orthogonal_to_what_goes_on_within_a_tr():
    mean = study().mel.mean(1, dtype=np.float64)
    u, _, _ = np.linalg.svd(mean - mean.mean(0), full_matrices=False)
    for name in ("rate 2 Hz", "rate 4 Hz", "rate 8 Hz", "order", "onset"):
        drive = of_class(name, study().truth["group"]["drives"])[:, 0]
        assert np.abs(u[:, :5].T @ drive).max() < 1e-3 * np.linalg.norm(drive)


def test_a_film_without_sound_or_pictures_drops_the_classes_that_need_them(tmp_path):
    rng = np.random.default_rng(0)
    noise = 0.1 * rng.normal(size=40 * 16_000).astype(np.float32)
    noise *= 1 + np.sin(np.linspace(0, 300, len(noise)))
    pictures = rng.integers(0, 255, (40 * 12, 18, 32, 3), np.uint8)
    silent = write_film(tmp_path / "silent.mp4", pictures, 12, None, None)
    with pytest.warns(StudyWarning, match="no sound track: all classes but motion"):
        got = load_simulated(silent)
    assert set(got.parcels["tuning"]) == {"motion"}
    assert got.mel is None
    assert got.labels is None
    radio = write_film(tmp_path / "radio.mp4", None, None, noise.astype(np.float32), 16_000)
    with pytest.warns(StudyWarning, match="no picture track: the class motion"):
        got = load_simulated(radio)
    assert "motion" not in set(got.parcels["tuning"])
    assert got.pictures is None
    assert got.clock.n_trs == 26
    assert got.media == radio


def test_a_short_film_is_refused(tmp_path):
    sound = np.random.default_rng(0).normal(size=16_000 * 4).astype(np.float32) * 0.1
    film = write_film(tmp_path / "short.mp4", None, None, sound, 16_000)
    with pytest.raises(StudyError, match=r"lasts 4\.\d s: expected at least 20 TRs of 1\.5 s"):
        load_simulated(film)


def test_options_come_checked_from_the_params_file():
    got = check_options(load_simulated, {"snr": 2, "mel": {"n_mels": 64}}, "study")
    assert got == {"snr": 2, "mel": MelSettings(n_mels=64)}
    with pytest.raises(SettingsError, match=r"n_subject: unknown key\. Did you mean 'n_subjects'"):
        check_options(load_simulated, {"n_subject": 3}, "study")
    with pytest.raises(SettingsError, match="snr = 0"):
        check_options(load_simulated, {"snr": 0}, "study")
