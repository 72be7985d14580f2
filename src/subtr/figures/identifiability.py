"""Figures of simulated scans: which rates of modulation can be told from BOLD."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from subtr.figures.style import GREY, panels, some, styled

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
