"""The table of simulated scans, its summary, and the figures and sliders made of it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy import stats

from subtr.experiments import identifiability as sweeps
from subtr.experiments.identifiability import (
    IdentifiabilityParams,
    Scan,
    fastest_rates,
    identifiability_params,
    over_seeds,
    simulate,
    sweep,
)
from subtr.params import SettingsError, validate
from subtr.viewing.modulation import explore_rates, recoverable_map, recoverable_rates

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "scan": {"duration_s": 400, "n_parcels": 2, "snr": 0.5},
    "rates_hz": [0.05, 2.0],
    "vary": {"tr_s": [2.0, 4.0], "n_parcels": [1]},
    "seeds": [0, 1],
}


def checked(**changes):
    return validate(IdentifiabilityParams, TINY | changes, "identifiability.yaml")


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    return sweep(checked(), folder), folder


def test_a_row_for_each_setting_rate_kind_and_seed(swept):
    table, _ = swept
    assert len(table) == 3 * 2 * 2 * 2
    assert table["varied"].unique().tolist() == ["", "tr_s", "n_parcels"]
    assert set(table["kind"]) == {"wave", "power"}
    assert np.isfinite(table[["r", "floor", "expected_r"]]).all(axis=None)
    # A TR twice as long gives half the volumes, each of twice the SNR.
    assert set(table.loc[table["varied"] == "tr_s", "snr"]) == {1.0}
    best = table[table["rate_hz"] == 0.05]
    assert best["r"].mean() > 0.4
    hopeless = table[(table["rate_hz"] == 2.0) & (table["kind"] == "wave")]
    assert hopeless["r"].mean() < 0.2


def test_a_killed_sweep_goes_on_where_it_was(swept, tmp_path, monkeypatch):
    table, folder = swept
    (file,) = folder.glob("identifiability_*.csv")
    half = tmp_path / file.name
    table.iloc[:8].to_csv(half, index=False)
    simulated = []

    def counted(scan, *more):
        simulated.append(scan)
        return simulate(scan, *more)

    monkeypatch.setattr("subtr.experiments.identifiability.simulate", counted)
    pd.testing.assert_frame_equal(sweep(checked(), tmp_path), table, check_dtype=False)
    assert len(simulated) == 16
    sweep(checked(), tmp_path)
    assert len(simulated) == 16


def test_the_snr_of_a_volume_may_be_kept():
    kept = checked(snr_per="volume")
    assert {scan.snr for _, scan in kept.settings} == {0.5}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rates_hz": [0.01, 1.0]}, "0.01 Hz is slower than scan.envelope_hz = 0.05"),
        ({"vary": {"n_parcels": [0]}}, "vary.n_parcels = 0: .*greater than or equal to 1"),
        ({"vary": {"tr_s": [2000]}}, "vary.tr_s = 2000: .*less than 20"),
        ({"vary": {"hrf_fwhm_s": [30]}}, "vary.hrf_fwhm_s = 30: .*a wider response peaks later"),
        ({"scan": {"trs": 2.0}}, r"scan.trs: unknown key. Did you mean 'tr_s'"),
        ({"seeds": [0]}, "seeds"),
    ],
)
def test_impossible_parameters_are_named(changes, message):
    with pytest.raises(SettingsError, match=message):
        checked(**changes)


@pytest.mark.parametrize("name", ["smoke", "full"])
def test_the_repositorys_parameters_are_valid(name):
    found = identifiability_params(name)
    assert {"tr_s", "snr", "hrf_fwhm_s", "n_parcels"} <= set(found.vary)
    assert len(found.seeds) >= 3


def test_a_set_without_them_gets_those_of_the_model(tmp_path):
    assert identifiability_params(tmp_path) == IdentifiabilityParams()


def planted(r, floor=0.1):
    """Rows of three seeds; ``r``: (varied, tr_s, kind, rate_hz) -> r of each seed."""
    common = {axis: getattr(Scan(), axis) for axis in sweeps.AXES}
    rows = []
    for (varied, tr_s, kind, rate_hz), values in r.items():
        case = {"varied": varied, "kind": kind, "rate_hz": rate_hz, "expected_r": 0.9}
        for seed, value in enumerate(values):
            rows.append(common | case | {"tr_s": tr_s, "seed": seed, "r": value, "floor": floor})
    return pd.DataFrame(rows)


def map_of(tr_s, varied, last_hz):
    """A wave that is recovered up to ``last_hz``, and power that is at any rate but 0.1 Hz."""
    rates = (0.05, 0.1, 0.2, 2.0)
    wave = {(varied, tr_s, "wave", f): [0.5 * (f <= last_hz)] * 3 for f in rates}
    return wave | {(varied, tr_s, "power", f): [0.6 * (f != 0.1)] * 3 for f in rates}


def test_the_interval_is_students_over_seeds():
    values = [0.2, 0.35, 0.4]
    (row,) = over_seeds(planted({("", 2.0, "wave", 0.1): values})).to_dict("records")
    z = np.arctanh(values)
    ends = stats.t.interval(0.95, 2, z.mean(), stats.sem(z))
    assert [row["r"], row["low"], row["high"]] == pytest.approx(np.tanh([z.mean(), *ends]))
    assert row["recoverable"]
    assert row["n_seeds"] == 3


def test_the_fastest_rate_is_the_last_without_a_slower_one_missing():
    found = fastest_rates(over_seeds(planted(map_of(2.0, "", 0.1) | map_of(3.0, "tr_s", 0.0))))
    assert found.loc[("tr_s", 2.0), "wave"] == 0.1
    assert np.isnan(found.loc[("tr_s", 3.0), "wave"])
    assert found.loc[("tr_s", 3.0), "power"] == 0.05


def test_the_line_of_chance_runs_between_what_is_and_what_is_not_recovered():
    rows = map_of(2.0, "", 0.1) | map_of(3.0, "tr_s", 0.1)
    figure = recoverable_map(over_seeds(planted(rows)))
    wave = figure.axes[0]
    (line,) = [of for of in wave.collections if type(of).__name__ == "QuadContourSet"]
    x = np.concatenate([path.vertices for path in line.get_paths()])[:, 0]
    assert np.log2(0.1) < x.min() <= x.max() < np.log2(0.2)
    assert [label.get_text() for label in wave.get_yticklabels()] == ["2", "3"]
    assert [label.get_fontweight() for label in wave.get_yticklabels()] == ["bold", "normal"]
    with pytest.raises(SettingsError, match="hold no setting of the scan that was varied"):
        recoverable_map(over_seeds(planted(map_of(2.0, "", 0.1))))


def test_curves_show_points_intervals_and_formula():
    summary = over_seeds(planted({("", 2.0, "wave", f): [0.4, 0.5, 0.6] for f in (0.05, 1.0)}))
    formula = summary[["kind", "rate_hz", "expected_r"]]
    left = recoverable_rates(summary, formula, 2.0).axes[0]
    line, points = left.get_lines()[:2]
    np.testing.assert_allclose(line.get_ydata(), 0.9)
    np.testing.assert_allclose(points.get_ydata(), summary["r"])
    below = summary.assign(low=-0.4)
    assert recoverable_rates(below, formula, 2.0).axes[0].get_ylim()[0] < -0.4


def test_where_widgets_cannot_live_there_is_a_fixed_figure(capsys, monkeypatch):
    shown = []
    monkeypatch.setenv("SUBTR_STATIC", "1")
    monkeypatch.setattr("subtr.viewing.modulation.display", shown.append)
    summary = over_seeds(planted({("", 2.0, "wave", f): [0.4, 0.5, 0.6] for f in (0.05, 1.0)}))
    explore_rates(Scan(), (0.05, 1.0), summary, 2)
    assert "A fixed setting, for SUBTR_STATIC is 1" in capsys.readouterr().out
    assert isinstance(shown[0], plt.Figure)
    said = shown[0].get_suptitle()
    assert said == "TR 2 s, SNR 0.1, response 5.3 s wide, 16 parcels, 15 min"
    # Live, with what a user would move.
    monkeypatch.setenv("SUBTR_STATIC", "0")
    explore_rates(Scan(duration_s=400), (0.05, 1.0), summary, 2)
    assert type(shown[1]).__name__ == "VBox"
    sliders = [box for row in shown[1].children[:2] for box in row.children]
    assert [of.description for of in sliders[:4]] == ["TR (s)", "SNR", "HRF width (s)", "parcels"]
    sliders[0].value = 3.0
    sliders[4].click()
