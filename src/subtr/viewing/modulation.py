"""Figures of modulation: how much there is at each rate, what systems and BOLD keep of it."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from IPython.display import display
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from subtr.experiments.identifiability import KINDS, Scan, expected_r, recover, simulate
from subtr.metrics.temporal import ModulationTransfer, averaging_gain
from subtr.viewing.players import live_widgets
from subtr.viewing.style import GREY, colour_of, label_ends, panels, some, styled

_OCTAVES_HZ = (0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)


@styled
def modulation_spectra(
    spectra: Mapping[str, tuple[Float[np.ndarray, " rate"], Float[np.ndarray, " rate"]]],
    tr_s: float,
    frames_per_tr: int,
) -> Figure:
    """Amplitude of modulation by rate, and below it the gain by which averaging scales it.

    Arguments
        spectra: name -> rates in hertz, amplitudes (see ``metrics.modulation_spectrum``).
        tr_s, frames_per_tr: of the averaging; 2, 4 and 8 Hz are marked, and one cycle a TR.
    """
    figure, axes = panels(2, height_in=5.2, sharex=True, gridspec_kw={"height_ratios": [3, 2]})
    upper, lower = axes[:, 0]
    ends = []
    for name, (rates_hz, amplitude) in spectra.items():
        upper.plot(rates_hz, amplitude, color=colour_of(name), label=name)
        ends.append((float(amplitude[-1]), name, colour_of(name)))
    # Averaging may leave exactly nothing; the scale is that of what there is to see.
    largest = max(amplitude.max() for _, amplitude in spectra.values())
    upper.set(xscale="log", yscale="log", ylim=(largest * 3e-4, largest * 1.6))
    upper.set_ylabel("modulation amplitude\n(log-mel units)")
    low_hz = min(rates_hz[0] for rates_hz, _ in spectra.values())
    high_hz = frames_per_tr / tr_s / 2
    rates_hz = np.geomspace(low_hz, high_hz, 2000)
    gain = averaging_gain(rates_hz, tr_s, frames_per_tr)
    lower.plot(rates_hz, gain, color=colour_of("averaging"))
    lower.set(ylabel="gain of averaging", xlabel="modulation rate (Hz)", ylim=(0, 1.03))
    for axis in (upper, lower):
        for rate_hz in (2, 4, 8):
            axis.axvline(rate_hz, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
        axis.axvline(1 / tr_s, color=GREY, linewidth=0.8, zorder=0)
    lower.text(1 / tr_s * 1.04, 0.9, f"one cycle a TR ({1 / tr_s:.2f} Hz)", color=GREY)
    octaves(lower, low_hz, high_hz)
    lower.set_xlim(low_hz, high_hz)
    low_end = upper.get_ylim()[0] * 1.4
    label_ends(upper, [(max(value, low_end), name, colour) for value, name, colour in ends])
    return figure


@styled
def modulation_transfer(
    transfers: Mapping[str, ModulationTransfer], tr_s: float, frames_per_tr: int
) -> Figure:
    """What systems do to modulation of each rate, in size and in phase.

    Left the size of the response, whatever it looks like; right the part of it in phase with the
    drive, so what would be recognised. Dashed: averaging by its formula, |sinc| and its square.

    Arguments
        transfers: system -> gains by rate.
        tr_s, frames_per_tr: of the averaging.
    """
    figure, axes = panels(1, 2, height_in=3.6, sharex=True, sharey=True)
    left, right = axes[0]
    low_hz = min(transfer.rates_hz.min() for transfer in transfers.values())
    high_hz = max(transfer.rates_hz.max() for transfer in transfers.values())
    fine_hz = np.geomspace(low_hz, high_hz, 2000)
    formula = averaging_gain(fine_hz, tr_s, frames_per_tr)
    for axis, power in ((left, 1), (right, 2)):
        axis.plot(fine_hz, formula**power, "--", color=GREY, linewidth=1, zorder=1)
        axis.set_xlabel("modulation rate (Hz)")
    for name, transfer in transfers.items():
        style = {"color": colour_of(name), "marker": "o", "markersize": 3.5, "label": name}
        left.plot(transfer.rates_hz, transfer.gain, **style)
        right.plot(transfer.rates_hz, transfer.faithful_gain, **style)
    left.set(title="Size of the response", ylabel="gain (1 is perfect)")
    right.set_title("Part of it in phase")
    octaves(left, low_hz, high_hz)
    ends = [
        (float(transfer.faithful_gain[-1]), name, colour_of(name))
        for name, transfer in transfers.items()
    ]
    label_ends(right, [*ends, (float(formula[-1] ** 2), "averaging, formula", GREY)])
    return figure


def octaves(axis: Axes, low_hz: float, high_hz: float) -> None:
    """Rates on a logarithmic axis, a tick an octave."""
    axis.set_xscale("log", base=2)
    ticks = [rate for rate in _OCTAVES_HZ if low_hz <= rate <= high_hz]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()


_COLOURS = {"wave": "#D55E00", "power": "#0072B2"}

_TITLES = {"wave": "Wave: BOLD follows the modulation", "power": "Power: BOLD follows its strength"}

_KINDS = tuple(_TITLES)

_NAMES = {
    "tr_s": "TR (s)",
    "snr": "SNR of a parcel",
    "hrf_fwhm_s": "HRF width (s)",
    "n_parcels": "parcels",
    "duration_s": "duration (s)",
    "noise_correlation": "shared noise",
}


@styled
def recoverable_map(summary: pd.DataFrame) -> Figure:
    """Held-out r by rate and by one setting of the scan a row, for both kinds of response.

    The line runs where r equals the 95th percentile of chance: on its darker side a rate can be
    recovered. The setting shared by all rows is set in bold.

    Arguments
        summary: of ``identifiability.over_seeds``.

    Raises
        SettingsError: nothing was varied.
    """
    some(summary[summary["varied"] != ""], "setting of the scan that was varied")
    axes_varied = [name for name in _NAMES if (summary["varied"] == name).any()]
    heights = [summary.loc[summary["varied"].isin([name, ""]), name].nunique() for name in _NAMES]
    heights = [n for n, name in zip(heights, _NAMES, strict=True) if name in axes_varied]
    figure, axes = panels(
        len(axes_varied),
        len(_KINDS),
        height_in=1.4 + 0.62 * len(axes_varied) + 0.26 * sum(heights),
        sharex=True,
        gridspec_kw={"height_ratios": [n + 1.2 for n in heights]},
    )
    middle = summary[summary["varied"] == ""]
    for row, name in enumerate(axes_varied):
        rows = summary[summary["varied"].isin([name, ""])]
        for column, kind in enumerate(_KINDS):
            axis = axes[row, column]
            image = _map(axis, rows[rows["kind"] == kind], name, float(middle[name].iloc[0]))
        axes[row, 0].set_ylabel(_NAMES[name])
        axes[row, 1].tick_params(labelleft=False)
    for column, kind in enumerate(_KINDS):
        axes[0, column].set_title(_TITLES[kind])
        axes[-1, column].set_xlabel("modulation rate (Hz)")
    figure.colorbar(image, ax=axes, label="held-out r", shrink=0.5, aspect=30)
    return figure


@styled
def recoverable_rates(
    measured: pd.DataFrame, formula: pd.DataFrame, tr_s: float | int, title: str = ""
) -> Figure:
    """Held-out r against rate at one setting of the scan, above chance and below the formula.

    Points with intervals are simulated scans; the line is what they would come to if they were
    endless; in grey, the 95th percentile of chance.

    Arguments
        measured: columns kind, rate_hz, r, floor, and low and high where there is an interval; may
            be empty.
        formula: columns kind, rate_hz, expected_r, at many rates.
        tr_s: repetition time in seconds.
    """
    figure, axes = panels(1, len(_KINDS), height_in=3.2, sharex=True, sharey=True)
    for axis, kind in zip(axes[0], _KINDS, strict=True):
        line = formula[formula["kind"] == kind].sort_values("rate_hz")
        points = measured[measured["kind"] == kind].sort_values("rate_hz")
        colour = _COLOURS[kind]
        axis.plot(line["rate_hz"], line["expected_r"], color=colour, label="endless scan, formula")
        if len(points):
            axis.fill_between(
                points["rate_hz"], 0, points["floor"], color="#DDDDDD", label="chance, 95 %"
            )
            axis.plot(points["rate_hz"], points["r"], "o", color=colour, label="simulated scan")
            if "low" in points:
                axis.vlines(points["rate_hz"], points["low"], points["high"], color=colour)
        half = {"color": GREY, "linewidth": 0.8, "linestyle": ":", "label": "half a cycle a TR"}
        axis.axvline(1 / (2 * tr_s), zorder=0, **half)
        axis.set(title=_TITLES[kind], xlabel="modulation rate (Hz)", xscale="log")
        rates_hz = points["rate_hz"] if len(points) else np.array([0.05, 0.2, 1, 4, 16])
        _rates(axis, rates_hz)
    lowest = measured["low"].min() if "low" in measured and len(measured) else 0.0
    axes[0, 0].set(ylabel="held-out r", ylim=(min(lowest, -0.12) - 0.03, 1.0))
    axes[0, 0].legend(loc="upper right")
    if title:
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


def _map(axis: Axes, rows: pd.DataFrame, name: str, middle: float):
    """Colours of r, the line of chance, and labels; rates are spaced by their logarithm."""
    grid = rows.pivot_table(index=name, columns="rate_hz", values="r")
    above = rows.assign(above=rows["r"] - rows["floor"])
    above = above.pivot_table(index=name, columns="rate_hz", values="above").to_numpy()
    x, y = np.log2(grid.columns.to_numpy(float)), np.arange(len(grid))
    options = {"cmap": "Blues", "vmin": 0, "vmax": 1, "shading": "nearest"}
    image = axis.pcolormesh(x, y, grid.to_numpy(), **options)
    if (above > 0).any() and (above < 0).any():
        # Carried on to the edges of the outermost cells.
        wide_x = np.concatenate([[1.5 * x[0] - 0.5 * x[1]], x, [1.5 * x[-1] - 0.5 * x[-2]]])
        wide_y = np.concatenate([[-0.5], y, [len(grid) - 0.5]])
        padded = np.pad(above, 1, mode="edge")
        axis.contour(wide_x, wide_y, padded, levels=[0], colors="#D55E00", linewidths=1.8)
    axis.set_yticks(y, [f"{value:g}" for value in grid.index])
    for label, value in zip(axis.get_yticklabels(), grid.index, strict=True):
        label.set_fontweight("bold" if np.isclose(value, middle) else "normal")
    axis.set_xticks(x, [f"{rate:g}" for rate in grid.columns])
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return image


def _rates(axis: Axes, rates_hz) -> None:
    axis.set_xticks(list(rates_hz), [f"{rate:g}" for rate in rates_hz])
    axis.minorticks_off()


_N_RATES = 60

_PARCELS = (1, 2, 4, 8, 16, 32, 64, 128)


def rate_curves(
    scan: Scan, rates_hz: Sequence[float | int], measured: pd.DataFrame | None = None
) -> Figure:
    """r against rate by formula, and as measured where that is given.

    Arguments
        rates_hz: first to last are drawn.
        measured: as in ``figures.recoverable_rates``.
    """
    dense_hz = np.geomspace(min(rates_hz), max(rates_hz), _N_RATES)
    formula = pd.DataFrame(
        [(kind, rate, expected_r(scan, rate, kind)) for kind in KINDS for rate in dense_hz],
        columns=["kind", "rate_hz", "expected_r"],
    )
    if measured is None:
        measured = pd.DataFrame(columns=["kind", "rate_hz", "r", "floor"])
    return recoverable_rates(measured, formula, scan.tr_s, str(scan))


def simulated_rates(
    scan: Scan, rates_hz: Sequence[float | int], n_folds: int, seed: int = 0
) -> pd.DataFrame:
    """r and floor of one simulated scan a rate and kind."""
    rows = []
    for kind in KINDS:
        for rate_hz in rates_hz:
            found = recover(simulate(scan, rate_hz, kind, seed), scan.tr_s, n_folds)
            rows.append((kind, rate_hz, found.r, found.floor))
    return pd.DataFrame(rows, columns=["kind", "rate_hz", "r", "floor"])


def explore_rates(
    scan: Scan, rates_hz: Sequence[float | int], measured: pd.DataFrame, n_folds: int
) -> None:
    """Sliders above the curves, and a button that simulates; a fixed figure where none can live.

    Arguments
        scan: where the sliders begin.
        measured: of ``identifiability.over_seeds``, at ``scan``; shown until a slider moves.
        n_folds: test blocks of what the button simulates.
    """
    widgets, why = live_widgets()
    if widgets is None:
        print(f"A fixed setting, for {why}.")
        display(rate_curves(scan, rates_hz, measured))
        return
    parcels = sorted({*_PARCELS, scan.n_parcels})
    sliders = {
        "tr_s": widgets.FloatSlider(
            value=scan.tr_s, min=0.5, max=4, step=0.1, description="TR (s)"
        ),
        "snr": widgets.FloatLogSlider(value=max(scan.snr, 0.01), min=-2, max=1, description="SNR"),
        "hrf_fwhm_s": widgets.FloatSlider(
            value=scan.hrf_fwhm_s,
            min=0.4 * scan.hrf_peak_s,
            max=1.7 * scan.hrf_peak_s,
            step=0.1,
            description="HRF width (s)",
        ),
        "n_parcels": widgets.SelectionSlider(
            value=scan.n_parcels, options=parcels, description="parcels"
        ),
    }
    button = widgets.Button(description="Simulate", tooltip="one scan of every rate, some seconds")
    output = widgets.Output()

    def draw(points=None):
        chosen = scan.having(**{name: slider.value for name, slider in sliders.items()})
        if points is None:
            points = simulated_rates(chosen, rates_hz, n_folds)
        output.clear_output(wait=True)
        with output:
            display(rate_curves(chosen, rates_hz, points if len(points) else None))

    for slider in sliders.values():
        slider.continuous_update = False
        slider.observe(lambda _: draw(measured.iloc[:0]), names="value")
    button.on_click(lambda _: draw())
    boxes = list(sliders.values())
    display(widgets.VBox([widgets.HBox(boxes[:2]), widgets.HBox([*boxes[2:], button]), output]))
    draw(measured)
