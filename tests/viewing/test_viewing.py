import builtins
import io
import sys

import av
import numpy as np
import pytest
import soundfile

from subtr.decoders.griffin_lim import GriffinLim
from subtr.decoders.vocoders import Chosen
from subtr.params import SettingsError, SubtrError
from subtr.stimulus.media import iter_sound
from subtr.stimulus.mel import MelSettings, log_mel_of_sound
from subtr.timeline import Clock
from subtr.viewing import players as gallery
from subtr.viewing.players import RECORDING, Gallery, live_widgets, side_by_side

RATE = 8000
CLOCK = Clock(tr_s=1.5, n_trs=6, onset_s=0.3)
SETTINGS = MelSettings(rate_hz=RATE, n_mels=40, window_samples=512, fmax_hz=4000)


def by_griffin_lim(n_iter) -> Chosen:
    return Chosen(GriffinLim(SETTINGS, n_iter=n_iter), "Sound by griffin_lim: <quick>.")


@pytest.fixture(scope="module")
def recording() -> np.ndarray:
    """Noise in bursts, four a second, each second louder than the one before."""
    time_s = np.arange(10 * RATE) / RATE
    noise = np.random.default_rng(0).standard_normal(len(time_s))
    bursts = np.clip(np.sin(2 * np.pi * 4 * time_s), 0.02, None) * (1 + np.floor(time_s)) / 11
    return (0.3 * noise * bursts).astype(np.float32)


@pytest.fixture(scope="module")
def played(recording) -> Gallery:
    mel = log_mel_of_sound(recording, RATE, CLOCK, SETTINGS)
    mean = np.broadcast_to(mel.mean(1, keepdims=True), mel.shape).copy()
    pictures = np.random.default_rng(0).integers(0, 256, (6, 4, 9, 16, 3)).astype(np.uint8)
    return Gallery(
        CLOCK,
        SETTINGS,
        {"original": mel, "averaging": mean},
        {"original": pictures, "averaging": pictures.mean(1, keepdims=True).astype(np.uint8)},
        recording,
        RATE,
        vocoder=by_griffin_lim(8),
    )


@pytest.fixture(scope="module")
def saved(played, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("run") / "media"
    return {file.name: file for file in played.save(folder, range(1, 4))}


def envelope(sound, n_windows=90):
    return np.sqrt(
        (sound[: len(sound) // n_windows * n_windows].reshape(n_windows, -1) ** 2).mean(1)
    )


@pytest.fixture
def shown(monkeypatch) -> list:
    """What would be displayed, in order."""
    displayed = []
    monkeypatch.setattr(gallery, "display", displayed.append)
    return displayed


def test_saved_sounds_keep_what_their_spectrogram_holds(saved, recording):
    assert set(saved) == {
        "original_recording.wav", "original.wav", "averaging.wav",
        "original.mp4", "averaging.mp4", "side_by_side.mp4",
    }  # fmt: skip
    sounds = {name: soundfile.read(saved[f"{name}.wav"]) for name in ("original", "averaging")}
    assert {rate for _, rate in sounds.values()} == {RATE}
    first = round(1.8 * RATE)  # TR 1 begins at 0.3 + 1.5 s
    heard = recording[first : first + round(4.5 * RATE)]
    copy, _ = soundfile.read(saved["original_recording.wav"])
    np.testing.assert_allclose(copy, heard, atol=1 / 32768)
    original, mean = (sounds[name][0] for name in ("original", "averaging"))
    assert len(original) == len(heard)
    assert np.corrcoef(envelope(original), envelope(heard))[0, 1] > 0.95
    assert np.corrcoef(envelope(mean), envelope(heard))[0, 1] < 0.6


def test_saved_films_run_in_time_with_the_sound(saved, recording):
    with av.open(str(saved["side_by_side.mp4"])) as container:
        times_s = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(times_s, np.arange(12) * 1.5 / 4, atol=1e-3)
    film = np.concatenate([block for _, block in iter_sound(saved["side_by_side.mp4"], RATE)])
    heard = recording[round(1.8 * RATE) :][: round(4.5 * RATE)]
    assert np.corrcoef(film[: len(heard)], heard)[0, 1] > 0.9


def test_pictures_stand_side_by_side_at_their_times():
    few = np.arange(2 * 2 * 3 * 5 * 3, dtype=np.uint8).reshape(2, 2, 3, 5, 3)
    many = few.repeat(2, axis=1) + 1
    frames = list(side_by_side({"few": few, "many": many}))
    assert len(frames) == 8
    for index, frame in enumerate(frames):
        assert frame.shape == (22 + 3 * 48, 2 * 240, 3)
        tr, part = divmod(index, 4)
        pixels = frame[22 + 24 :: 48, 24::48]  # the middle of each enlarged pixel
        np.testing.assert_array_equal(pixels[:, :5], few[tr, part // 2])
        np.testing.assert_array_equal(pixels[:, 5:], many[tr, part])
    assert frames[0][:22].max() > 200  # names are written


def test_pictures_of_odd_size_become_even_for_films():
    odd = np.ones((1, 1, 241, 241, 3), np.uint8)
    assert {frame.shape for frame in side_by_side({"odd": odd})} == {(264, 242, 3)}


def test_embedded_sound_is_that_of_the_chosen_trs(played, recording, shown):
    played.listen([2], [RECORDING, "averaging"])
    figure, caption, *rest = shown
    assert caption.data == "<i>Sound by griffin_lim: &lt;quick&gt;.</i>"
    assert [axis.get_title(loc="left") for axis in figure.axes[:1]] == ["averaging"]
    players = [item for item in rest if hasattr(item, "autoplay")]
    samples, rate_hz = soundfile.read(io.BytesIO(players[0].data))
    first = round((0.3 + 3.0) * RATE)
    np.testing.assert_allclose(samples, recording[first : first + 12000], atol=2 / 32768)
    assert rate_hz == RATE
    assert len(players) == 2
    # 16 bits a sample: 1.5 s take 24 kB.
    assert all(len(player.data) < 24_100 for player in players)


def test_recordings_that_start_late_or_end_early_are_padded(recording):
    clock = Clock(tr_s=1.5, n_trs=8, onset_s=-1.0)
    mel = log_mel_of_sound(recording, RATE, clock, SETTINGS)
    sound, _ = Gallery(clock, SETTINGS, {"a": mel}, {}, recording, RATE).sounds(
        range(8), [RECORDING]
    )[RECORDING]
    assert len(sound) == 12 * RATE
    assert not sound[:RATE].any()
    np.testing.assert_array_equal(sound[RATE : 11 * RATE], recording)
    assert not sound[11 * RATE :].any()


def test_watch_embeds_a_small_film(played, shown):
    played.watch(range(2))
    assert shown[0].embed
    assert b"ftyp" in shown[0].data[:16]
    assert len(shown[0].data) < 1_000_000


def without_ipywidgets(monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **options):
        if name.split(".")[0] == "ipywidgets":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, "ipywidgets", raising=False)


@pytest.mark.parametrize("why", ["not installed", "SUBTR_STATIC is 1", "not live"])
def test_explore_falls_back_to_a_fixed_gallery(played, shown, monkeypatch, capsys, why):
    monkeypatch.delenv("SUBTR_STATIC", raising=False)
    if why == "not installed":
        without_ipywidgets(monkeypatch)
    elif why == "SUBTR_STATIC is 1":
        monkeypatch.setenv("SUBTR_STATIC", "1")
    played.explore([3])
    said = capsys.readouterr().out
    assert "fixed gallery of TRs 3 to 3" in said
    assert why in said
    kinds = [type(item).__name__ for item in shown]
    assert kinds == ["Figure", "HTML", *["HTML", "Audio"] * 3, "Video"]


def test_sliders_choose_trs_and_systems(played, monkeypatch):
    monkeypatch.setenv("SUBTR_STATIC", "0")
    widgets, _ = live_widgets()
    calls, boxes = [], []
    monkeypatch.setattr(Gallery, "_show", lambda _, trs, names: calls.append((list(trs), names)))
    monkeypatch.setattr("subtr.viewing.players.display", boxes.append)
    played.explore([1, 2])
    span, system = boxes[0].children[0].children
    assert isinstance(span, widgets.IntRangeSlider)
    span.value = (0, 2)
    system.value = "averaging"
    assert calls == [([1, 2], None), ([0, 1, 2], None), ([0, 1, 2], ["averaging"])]


def test_wrong_choices_are_named(played, recording):
    with pytest.raises(SettingsError, match=r"'averagin' is not in the gallery\. Did you mean"):
        played.sounds([0], ["averagin"])
    with pytest.raises(SettingsError, match="expected consecutive TRs from 0 to 5"):
        played.listen([0, 2])
    long = Gallery(Clock(2.0, 20), SETTINGS, {"a": np.zeros((20, 64, 40), np.float32)})
    with pytest.raises(SettingsError, match=r"16 s: expected at most 15 s.*save"):
        long.listen(range(8))
    with pytest.raises(SettingsError, match="No pictures"):
        long.watch(range(2))
    with pytest.raises(SettingsError, match="a has 5 TRs, the clock 6"):
        Gallery(CLOCK, SETTINGS, {"a": np.zeros((5, 64, 40), np.float32)})
    with pytest.raises(SettingsError, match="rate_hz"):
        Gallery(CLOCK, SETTINGS, played.mels, {}, recording)
    with pytest.raises(SettingsError, match="Nothing to play"):
        Gallery(CLOCK, SETTINGS)


def test_trs_that_a_system_left_out_are_named(played, tmp_path):
    mel = played.mels["original"].copy()
    mel[[0, 4]] = np.nan
    part = Gallery(CLOCK, SETTINGS, {"tier 1": mel}, vocoder=by_griffin_lim(2))
    with pytest.raises(SubtrError, match="tier 1 did not reconstruct TRs 4: choose"):
        part.save(tmp_path, range(3, 6))
    sound, _ = part.sounds(range(1, 4))["tier 1"]
    assert len(sound) == round(4.5 * RATE)
    assert np.isfinite(sound).all()
