"""The generated film: its pictures, voices and sound are what its plan says."""

import numpy as np
import pytest

from subtr.datasets.simulated_film import (
    ACTIONS,
    CARRIERS,
    HEIGHT,
    MODULATION_HZ,
    RATE_HZ,
    SCENES,
    VOICES,
    WIDTH,
    Line,
    background,
    carrier_sound,
    iter_generated_pictures,
    level_sound,
    log_gain,
    object_positions,
    picture_scenes,
    render_sound,
    sound_scenes,
    speak,
)
from subtr.params import StudyError
from subtr.stimulus.mel import log_mel_of_sound
from subtr.timeline import Clock

TIME_S = np.arange(0, 6, 1 / 24)
TRACK = {"x_px": 50.0, "y_px": 40.0, "angle": 0.7, "orbit_px": 20.0, "radius_px": 8}


@pytest.mark.parametrize("speed", [10.0, 40.0])
@pytest.mark.parametrize("action", ACTIONS)
def test_objects_start_at_their_place_and_move_at_their_speed(action, speed):
    track = object_positions(TRACK, action, speed, TIME_S)
    np.testing.assert_allclose(track[0], [50, 40])
    step = np.linalg.norm(np.diff(track, axis=0), axis=1) * 24
    want = 0 if action == "still" else speed
    assert np.median(step) == pytest.approx(want, rel=0.02)


def test_bounces_stay_inside_and_orbits_keep_their_radius():
    bounce = object_positions(TRACK, "bounce", 80.0, TIME_S)
    assert bounce.min() >= 8
    assert (bounce.max(0) <= [WIDTH - 8, HEIGHT - 8]).all()
    orbit = object_positions(TRACK, "orbit", 40.0, TIME_S)
    middle = np.array([50 - 20 * np.cos(0.7), 40 - 20 * np.sin(0.7)])
    np.testing.assert_allclose(np.linalg.norm(orbit - middle, axis=1), 20)


def test_an_object_is_seen_where_its_track_is():
    scenes, objects = picture_scenes(30.0, 1.5, 2)
    pictures = list(iter_generated_pictures(scenes, objects, 2))
    assert len(pictures) == 30 * 24
    for index, scene in scenes.iterrows():
        last = objects[objects["scene_index"] == index].iloc[-1]  # drawn over the others
        first = round(scene["onset_s"] * 24)
        time_s = np.array([0.0, 1.0])
        track = object_positions(last.to_dict(), scene["action"], scene["speed_px_s"], time_s)
        for shown, (x_px, y_px) in zip((first, first + 24), track, strict=True):
            row, column = min(round(y_px), HEIGHT - 1), min(round(x_px), WIDTH - 1)
            assert tuple(pictures[shown][row, column]) == tuple(last[["red", "green", "blue"]])


def test_the_same_seed_gives_the_same_pictures():
    one, other, third = (
        next(iter_generated_pictures(*picture_scenes(30.0, 1.5, seed), seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, other)
    assert (one != third).mean() > 0.5


def test_speed_and_action_do_not_know_the_scene():
    scenes, objects = picture_scenes(20_000.0, 1.5, 0)
    assert set(scenes["scene"]) == set(SCENES)
    assert len(objects) == scenes["n_objects"].sum()
    moving = scenes[scenes["action"] != "still"]
    mean = moving.groupby("scene")["speed_px_s"].mean()
    assert mean.max() / mean.min() < 1.15
    share = scenes.groupby("scene")["action"].value_counts(normalize=True)
    assert share.between(0.2, 0.3).all()


def test_scenes_look_different():
    rng = np.random.default_rng(0)
    colours = {s: np.mean([background(s, rng).mean((0, 1)) for _ in range(5)], 0) for s in SCENES}
    for a in SCENES:
        for b in SCENES:
            assert a == b or np.abs(colours[a] - colours[b]).max() > 15


TR_S = 1.5


@pytest.fixture(scope="module")
def sound():
    return render_sound(sound_scenes(60.0, TR_S, 3), TR_S, 3)


def plain(**changes):
    scene = {"level": 0.0, "depth": 0.0, "rate_hz": 0.0, "order": 0, "onsets": 0}
    return scene | changes


def spectral_peak_hz(values, rate_hz, above_hz):
    power = np.abs(np.fft.rfft(values - values.mean(), 8 * len(values)))
    hz = np.fft.rfftfreq(8 * len(values), 1 / rate_hz)
    return hz[hz > above_hz][power[hz > above_hz].argmax()]


def test_the_same_seed_gives_the_same_sound_and_another_does_not(sound):
    again = render_sound(sound_scenes(60.0, TR_S, 3), TR_S, 3)
    np.testing.assert_array_equal(sound, again)
    other = render_sound(sound_scenes(60.0, TR_S, 4), TR_S, 4)
    assert len(other) == len(sound) == 60 * RATE_HZ
    assert np.abs(np.corrcoef(sound, other)[0, 1]) < 0.1
    assert np.abs(sound).max() == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize("tr_s", [0.8, 1.5, 2.0])
def test_scenes_fill_the_film_and_begin_with_a_tr(tr_s):
    scenes = sound_scenes(100.0, tr_s, 0)
    ends_s = scenes["onset_s"] + scenes["duration_s"]
    np.testing.assert_allclose(scenes["onset_s"][1:], ends_s[:-1])
    assert scenes["onset_s"][0] == 0
    assert ends_s.iloc[-1] == pytest.approx(100.0)
    trs = scenes["onset_s"] / tr_s
    np.testing.assert_allclose(trs, trs.round(), atol=1e-9)


def test_draws_are_independent():
    scenes = sound_scenes(20_000.0, TR_S, 0)
    columns = scenes[["level", "rate_hz", "order", "onsets"]].astype(float)
    columns["carrier"] = scenes["carrier"].map(CARRIERS.index)
    r = np.corrcoef(columns.T) - np.eye(5)
    assert np.abs(r).max() < 4 / np.sqrt(len(scenes))
    assert set(scenes["carrier"]) == set(CARRIERS)
    assert set(scenes["rate_hz"]) == set(MODULATION_HZ)
    assert set(scenes["onsets"]) == set(range(5))
    assert set(scenes.loc[scenes["carrier"] == "speech", "voice"]) == set(VOICES)


@pytest.mark.parametrize("onsets", [0, 4])
@pytest.mark.parametrize("order", [-1, 0, 1])
@pytest.mark.parametrize("rate_hz", [0.0, 2.0, 4.0, 8.0])
def test_changes_within_a_tr_have_no_mean(rate_hz, order, onsets):
    depth = 0.9 if rate_hz else 0.0
    scene = plain(level=0.4, depth=depth, rate_hz=rate_hz, order=order, onsets=onsets)
    log = log_gain(scene, 4 * 24_000, TR_S, np.random.default_rng(0)).reshape(4, -1)
    np.testing.assert_allclose(log.mean(1), 0.4, atol=1e-3)


@pytest.mark.parametrize("order", [-1, 0, 1])
def test_order_is_the_sign_of_the_slope_in_every_tr(order):
    log = log_gain(plain(order=order), 4 * 24_000, TR_S, np.random.default_rng(0)).reshape(4, -1)
    slope = np.polyfit(np.arange(24_000) / RATE_HZ, log.T, 1)[0]
    np.testing.assert_array_equal(np.sign(slope.round(2)), order)


@pytest.mark.parametrize("rate_hz", [2.0, 4.0, 8.0])
def test_modulated_noise_has_its_spectral_peak_at_its_rate(rate_hz):
    rng = np.random.default_rng(1)
    n = 4 * 24_000
    noise = level_sound(carrier_sound("noise", n, rng).astype(np.float32))
    sound = noise * np.exp(log_gain(plain(rate_hz=rate_hz, depth=0.8), n, TR_S, rng))
    level = log_mel_of_sound(sound, RATE_HZ, Clock(TR_S, 4)).mean(-1).ravel()
    assert spectral_peak_hz(level, 64 / TR_S, 1.0) == pytest.approx(rate_hz, abs=0.1)


@pytest.mark.parametrize("bpm", [90, 120, 150])
def test_music_has_its_beat(bpm):
    n = 12 * RATE_HZ
    sound = level_sound(carrier_sound("music", n, np.random.default_rng(2), bpm=bpm))
    log_mel = log_mel_of_sound(sound, RATE_HZ, Clock(1.0, 12, frames_per_tr=100))
    flux = np.maximum(np.diff(log_mel.reshape(-1, 128), axis=0), 0).mean(1)
    flux = flux - flux.mean()
    similar = np.correlate(flux, flux, "full")[len(flux) - 1 :]
    lag = 25 + similar[25:100].argmax()  # 240 to 60 beats a minute
    assert 60 / (lag / 100) == pytest.approx(bpm, rel=0.04)


@pytest.mark.parametrize("carrier", ["music", "tones", "noise", "ripple"])
def test_carriers_are_brought_to_one_level(carrier):
    rng = np.random.default_rng(0)
    sound = carrier_sound(carrier, 6 * 16_000, rng, bpm=100)
    sound = sound / sound.std() + 0.06 * rng.standard_normal(len(sound))
    level = log_mel_of_sound(level_sound(sound), RATE_HZ, Clock(TR_S, 4)).mean(-1)[:, 2:-2]
    assert np.abs(level).max() < 0.35
    assert level.mean(1) == pytest.approx(0, abs=0.05)


def test_averaged_sound_does_not_tell_what_goes_on_within_a_tr():
    rng = np.random.default_rng(0)
    noise = level_sound(carrier_sound("noise", 4 * 24_000, rng).astype(np.float32))
    means = []
    for changes in ({}, {"rate_hz": 8.0, "depth": 1.0}, {"order": 1}, {"order": -1}):
        gain = np.exp(log_gain(plain(**changes), len(noise), TR_S, np.random.default_rng(1)))
        means.append(log_mel_of_sound(noise * gain, RATE_HZ, Clock(TR_S, 4)).mean((0, 1)))
    for mean in means[1:]:
        assert np.abs(mean - means[0]).max() < 0.15


def test_voices_differ_and_say_the_same_again():
    lines = [Line("the red dog found a letter", voice) for voice in VOICES]
    spoken, again = speak(lines, RATE_HZ), speak(lines, RATE_HZ)
    for one, other in zip(spoken, again, strict=True):
        np.testing.assert_array_equal(one, other)
        assert 0.5 * RATE_HZ < len(one) < 4 * RATE_HZ
    assert len({round(float(np.abs(one).sum()), 2) for one in spoken}) == len(VOICES)
    assert speak([], RATE_HZ) == []


def test_an_unknown_voice_is_named():
    with pytest.raises(StudyError, match=r"no voice 'xx-none'.*Known voices"):
        speak([Line("hello", "xx-none")], RATE_HZ)
    with pytest.raises(StudyError, match="says nothing"):
        speak([Line("  ", VOICES[0])], RATE_HZ)
