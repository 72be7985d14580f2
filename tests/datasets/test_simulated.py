"""The simulated study holds what was planted in it: its film, its drives and its BOLD."""

from functools import lru_cache

import numpy as np
import pytest

from subtr.bold.hrf import HRF_MODELS, hrf_kernel
from subtr.datasets.simulated import (
    SUB_TR_SOUND,
    band_levels,
    bold_noise,
    broadband_level,
    generated_film,
    load_simulated,
    modulation_drive,
    motion_drive,
    noise_free_bold,
    onset_drive,
    order_drive,
    parcel_drives,
    stimulus_drives,
    subject_bold,
    without_mean_sound,
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
    assert list(dict.fromkeys(parcels["tuning"])) == ["mean", *SUB_TR_SOUND, "motion"]
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
    for name in (*SUB_TR_SOUND, "motion"):
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


TR_S, N_TRS, N_FRAMES = 1.5, 20, 64
FRAME_HZ = N_FRAMES / TR_S
INSIDE = slice(3, -3)


def seconds():
    return (np.arange(N_TRS * N_FRAMES) + 0.5).reshape(N_TRS, N_FRAMES) / FRAME_HZ


def bursts(n):
    """n bumps of 50 ms and 16 dB in each TR, as bursts look through a window of 64 ms."""
    level = np.zeros((N_TRS, N_FRAMES))
    for first in np.linspace(8, 53, n, dtype=int) if n > 1 else [30] * n:
        level[:, first : first + 3] += [0.6, 1.8, 0.6]
    return level


@pytest.mark.parametrize("rate_hz", [2, 4, 8])
def test_a_pure_modulation_drives_its_own_rate_alone(rate_hz):
    depth = 0.8
    level = depth * np.sin(2 * np.pi * rate_hz * seconds() + 0.3)
    drives = {rate: modulation_drive(level, FRAME_HZ, rate)[INSIDE] for rate in (2, 4, 8)}
    np.testing.assert_allclose(drives.pop(rate_hz), depth / np.sqrt(2), rtol=0.05)
    for other in drives.values():
        assert other.max() < 0.15 * depth / np.sqrt(2)
    assert (onset_drive(level, FRAME_HZ)[INSIDE] == 0).all()


def test_a_steady_level_drives_nothing():
    level = np.full((N_TRS, N_FRAMES), -4.0)
    for drive in (
        *(modulation_drive(level, FRAME_HZ, rate) for rate in (2, 4, 8)),
        order_drive(level, TR_S),
        onset_drive(level, FRAME_HZ),
    ):
        np.testing.assert_allclose(drive, 0, atol=1e-9)


def test_order_is_the_slope_and_time_reversed_flips_its_sign():
    rise = np.tile(0.7 * (np.arange(N_FRAMES) + 0.5) / FRAME_HZ - 3, (N_TRS, 1))
    np.testing.assert_allclose(order_drive(rise, TR_S), 0.7)
    level = np.random.default_rng(0).normal(size=(N_TRS, N_FRAMES))
    np.testing.assert_allclose(
        order_drive(level[:, ::-1].copy(), TR_S), -order_drive(level, TR_S), atol=1e-12
    )
    want = np.polyfit((np.arange(N_FRAMES) + 0.5) / FRAME_HZ, level.T, 1)[0]
    np.testing.assert_allclose(order_drive(level, TR_S), want)


@pytest.mark.parametrize("n", range(5))
def test_n_bursts_count_n(n):
    assert (onset_drive(bursts(n), FRAME_HZ)[INSIDE] == n).all()


def test_bursts_count_on_top_of_modulation_and_ramps():
    level = bursts(2) + 0.8 * np.sin(2 * np.pi * 4 * seconds()) + 0.4 * np.sin(seconds())
    assert (onset_drive(level, FRAME_HZ)[INSIDE] == 2).all()


def test_bands_average_to_the_mean_level():
    log_mel = np.random.default_rng(0).normal(size=(5, 8, 128))
    bands = band_levels(log_mel, 4)
    np.testing.assert_allclose(bands.mean(1), log_mel.mean((1, 2)))
    np.testing.assert_allclose(bands[:, 0], log_mel[:, :, :32].mean((1, 2)))


def test_motion_is_the_mean_absolute_difference_within_a_tr():
    pictures = np.zeros((3, 4, 6, 10, 3), np.uint8)
    pictures[1] = 200  # another scene, but nothing moves in it
    pictures[2, 1::2] = 255
    np.testing.assert_allclose(motion_drive(pictures), [0, 0, 255])
    assert (motion_drive(pictures[:, :1]) == 0).all()


def test_what_is_linear_in_averaged_sound_is_gone():
    rng = np.random.default_rng(0)
    log_mel = (rng.normal(size=(200, 1, 12)) @ rng.normal(size=(12, 40))) + np.zeros((1, 4, 1))
    mean = log_mel.mean(1)
    own = rng.normal(size=(200, 1))
    drives = own + mean @ rng.normal(size=(40, 1))
    left = without_mean_sound(drives, log_mel)
    fitted = mean - mean.mean(0)
    assert np.abs(fitted.T @ left).max() < 1e-8 * np.abs(fitted).sum()
    assert np.corrcoef(left[:, 0], own[:, 0])[0, 1] > 0.95


def test_classes_without_their_track_are_absent():
    pictures = np.random.default_rng(0).integers(0, 255, (30, 2, 4, 4, 3), np.uint8)
    assert list(stimulus_drives(None, pictures, TR_S, 4)) == ["motion"]
    log_mel = np.random.default_rng(0).normal(size=(30, 64, 16))
    drives = stimulus_drives(log_mel, None, TR_S, 4)
    assert "motion" not in drives
    assert drives["mean"].shape == (30, 4)


def test_few_frames_a_second_are_refused():
    with pytest.raises(SettingsError, match="use more than 23"):
        modulation_drive(np.zeros((N_TRS, 16)), 16 / TR_S, 8)


def test_an_impulse_becomes_the_parcels_own_hrf():
    drives = np.zeros((40, 2))
    drives[5] = 1
    peaks_s = np.array([4.5, 6.5])
    bold = noise_free_bold(drives, TR_S, peaks_s)
    np.testing.assert_allclose(bold[:5], bold[:1].repeat(5, 0))
    for parcel, peak_s in enumerate(peaks_s):
        kernel = hrf_kernel(TR_S, HRF_MODELS["spm"].with_peak(peak_s))[:35]
        assert np.corrcoef(bold[5 : 5 + len(kernel), parcel], kernel)[0, 1] > 1 - 1e-9


def test_parcels_of_a_class_share_its_drive_and_carry_its_name():
    rng = np.random.default_rng(0)
    given = {"mean": rng.normal(size=(50, 3)), "order": rng.normal(size=(50, 1))}
    drives, table = parcel_drives(given, 3)
    assert list(table.index) == ["mean 1", "mean 2", "mean 3", "order 1", "order 2", "order 3"]
    assert list(table["tuning"]) == ["mean"] * 3 + ["order"] * 3
    r = np.corrcoef(drives.T, np.concatenate([given["mean"], given["order"]], 1).T)[:6, 6:]
    np.testing.assert_allclose(r.max(1), 1)
    assert list(r.argmax(1)) == [0, 1, 2, 3, 3, 3]


def test_noise_has_its_autocorrelation_and_drift():
    noise = bold_noise(4000, 20, TR_S, np.random.default_rng(0))
    np.testing.assert_allclose(noise.std(0), 1)
    lag_1 = (noise[1:] * noise[:-1]).mean()
    assert lag_1 == pytest.approx(0.9 * 0.3 + 0.1, abs=0.02)
    power = np.abs(np.fft.rfft(noise, axis=0)) ** 2
    slow = np.fft.rfftfreq(4000, TR_S) <= 1 / 150
    assert power[slow].sum() / power.sum() == pytest.approx(0.1 + 0.9 * 0.037, abs=0.03)


@pytest.mark.parametrize("snr", [0.25, 1.0, 4.0])
def test_signal_to_noise_ratio_is_the_one_asked_for(snr):
    signal = np.random.default_rng(1).normal(size=(2000, 8))
    bold, own = subject_bold(signal, TR_S, snr, np.random.default_rng(0))
    np.testing.assert_allclose(own.var(0) / (bold - own).var(0), snr)
    r = [np.corrcoef(bold[:, i], signal[:, i])[0, 1] for i in range(8)]
    np.testing.assert_allclose(r, np.sqrt(snr / (1 + snr)), atol=0.08)
