import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from whole_figures import assert_whole

from subtr.metrics.temporal import averaging_gain, modulation_transfer
from subtr.params import SettingsError
from subtr.stimulus.mel import MelSettings
from subtr.timeline import Clock
from subtr.viewing import bold, modulation, scores, stimulus
from subtr.viewing.style import colour_of

CLOCK = Clock(tr_s=1.5, n_trs=6, onset_s=3.0, frames_per_tr=16)
SETTINGS = MelSettings(n_mels=20)


@pytest.fixture(scope="module")
def mel():
    return np.random.default_rng(0).normal(size=(6, 16, 20)).astype(np.float32)


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(1).integers(0, 256, (6, 4, 9, 16, 3)).astype(np.uint8)


def lines_of(axis, colour):
    return [line for line in axis.get_lines() if to_rgb(line.get_color()) == to_rgb(colour)]


def words(axis):
    return [text.get_text() for text in axis.texts]


def test_same_system_same_colour_however_written():
    assert colour_of("PCA") == colour_of("pca") == colour_of("PCA 256")
    assert colour_of("my system 128") == colour_of("My_System")
    assert colour_of("tier1_multiscale") == colour_of("Tier 1")
    assert colour_of("averaged") == colour_of("baseline_averaging") == colour_of("averaging")
    known = ["original", "round trip", "averaging", "PCA", "tier 1", "FIR ridge", "Lanczos"]
    known += ["tier1_heard", "tier1_more_speech", "tier1 fitted", "PCA fitted"]
    assert len({colour_of(name) for name in known}) == len(known)


def luminance(colour):
    """Relative luminance of a colour, as in the contrast rule of WCAG 2."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)]
    return np.dot([0.2126, 0.7152, 0.0722], linear)


@pytest.mark.parametrize("name", ["averaging", "PCA", "tier 1", "tier 2", "FIR ridge", "a", "b"])
def test_colours_show_on_white(name):
    assert 1.05 / (luminance(colour_of(name)) + 0.05) > 2


def test_within_tr_shows_the_mel_and_its_mean_on_one_scale(mel, pictures):
    figure = stimulus.within_tr(mel, CLOCK, SETTINGS, range(2, 4), pictures)
    strips, means, upper, lower = figure.axes[:4]
    want = mel[2:4].reshape(32, 20).T
    np.testing.assert_array_equal(upper.images[0].get_array(), want)
    held = mel[2:4].mean(1).repeat(16, axis=0).T
    np.testing.assert_allclose(lower.images[0].get_array(), held, rtol=1e-5)
    assert upper.images[0].get_clim() == lower.images[0].get_clim()
    assert upper.images[0].get_extent()[:2] == [6.0, 9.0]  # 3 + 2 * 1.5 s onward
    np.testing.assert_array_equal(strips.images[0].get_array(), pictures[2, 0])
    np.testing.assert_allclose(means.images[1].get_array(), pictures[3].mean(0), atol=0.51)


def test_reconstructions_put_the_original_first(mel):
    named = {"averaging": mel * 0, "original": mel}
    axes = stimulus.reconstructions(named, CLOCK, SETTINGS, [1, 2]).axes
    assert [axis.get_title(loc="left") for axis in axes[:2]] == ["original", "averaging"]
    np.testing.assert_array_equal(axes[0].images[0].get_array(), mel[1:3].reshape(32, 20).T)
    assert not np.asarray(axes[1].images[0].get_array()).any()


@pytest.mark.parametrize("trs", [[], [0, 2], [-1, 0], [5, 6]])
def test_trs_that_cannot_be_shown_are_named(mel, trs):
    with pytest.raises(SettingsError, match="expected consecutive TRs from 0 to 5"):
        stimulus.reconstructions({"original": mel}, CLOCK, SETTINGS, trs)


def test_picture_strips_show_all_pictures_of_the_tr(pictures):
    figure = stimulus.picture_strips({"PCA": 255 - pictures, "original": pictures}, 3)
    first, second = (axis.images[0].get_array() for axis in figure.axes)
    for index in range(4):
        columns = slice(18 * index, 18 * index + 16)
        np.testing.assert_array_equal(first[:, columns], pictures[3, index])
        np.testing.assert_array_equal(second[:, columns], 255 - pictures[3, index])


def test_modulation_spectra_draw_what_was_given_and_the_formula():
    rates_hz = np.geomspace(0.1, 20, 50)
    upper, lower = modulation.modulation_spectra(
        {"original": (rates_hz, 1 / rates_hz)}, 1.5, 64
    ).axes
    (line,) = lines_of(upper, colour_of("original"))
    np.testing.assert_array_equal(line.get_xydata(), np.c_[rates_hz, 1 / rates_hz])
    (formula,) = lines_of(lower, colour_of("averaging"))
    fine_hz, gain = formula.get_data()
    np.testing.assert_array_equal(gain, averaging_gain(fine_hz, 1.5, 64))
    marked = {float(line.get_xdata()[0]) for line in upper.get_lines()[1:]}
    assert {2.0, 4.0, 8.0} <= marked


def test_modulation_transfer_of_averaging_lies_on_its_formula():
    def average(windows):
        return np.broadcast_to(windows.mean(1, keepdims=True), windows.shape)

    transfer = modulation_transfer(average, CLOCK, [0.5, 1.0, 2.5])
    left, right = modulation.modulation_transfer({"averaging": transfer}, 1.5, 16).axes
    for axis, power in ((left, 1), (right, 2)):
        dashed, line = axis.get_lines()
        on_formula = np.interp(transfer.rates_hz, *dashed.get_data())
        np.testing.assert_allclose(line.get_ydata(), on_formula, atol=0.02)
        np.testing.assert_array_equal(
            line.get_ydata(), [transfer.gain, transfer.faithful_gain][power - 1]
        )


def test_training_curves_draw_every_fold_and_part():
    rows = [
        {"epoch": epoch, "fold": fold, "part": part, "name": name, "value": 1 / (epoch + fold + 1)}
        for epoch in (2, 0, 1)
        for fold in (0, 1)
        for part in ("train", "validation")
        for name in ("loss", "mel")
    ]
    figure = scores.training_curves(pd.DataFrame(rows))
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["loss", "mel"]
    lines = {line.get_label(): line for line in figure.axes[1].get_lines()}
    np.testing.assert_array_equal(lines["validation, fold 1"].get_ydata(), [1 / 2, 1 / 3, 1 / 4])
    assert set(lines) == {f"{p}, fold {f}" for p in ("train", "validation") for f in (0, 1)}


def test_reliability_marks_each_parcel_and_the_median():
    ceiling = np.array([0.2, 0.8, 0.4, np.nan, 0.6])
    parcels = pd.DataFrame({"tuning": ["level", "level", "level", "onset", "onset"]})
    (axis,) = bold.bold_reliability(ceiling, parcels).axes
    points = [line for line in axis.get_lines() if line.get_label() != "median"]
    np.testing.assert_array_equal(np.concatenate([line.get_xdata() for line in points]), ceiling)
    medians = [line.get_xdata()[0] for line in axis.get_lines() if line.get_label() == "median"]
    np.testing.assert_allclose(medians, [0.4, 0.6])
    with pytest.raises(SettingsError, match="4 ceilings for 5 parcels"):
        bold.bold_reliability(ceiling[:4], parcels)


def test_lag_scan_marks_the_peak_of_the_mean():
    lags_s = np.arange(-3.0, 9.0, 1.5)
    r = np.zeros((8, 3))
    r[4, :2] = 0.5, 0.1  # at 3 s
    r[:, 2] = np.nan
    (axis,) = bold.lag_scan(lags_s, r, 4.5).axes
    assert "the mean peaks at 3 s" in words(axis)
    (mean,) = [line for line in axis.get_lines() if line.get_label() == "mean of parcels"]
    np.testing.assert_allclose(mean.get_ydata()[4], 0.3)
    assert len(lines_of(axis, "#BBBBBB")) == 2


def test_nothing_is_cut_off_and_nothing_stays_open(mel, pictures):
    assert_whole(
        lambda: stimulus.within_tr(mel, CLOCK, SETTINGS, range(3), pictures),
        lambda: stimulus.picture_strips({"a system of a long name": pictures}, 0),
    )
