"""Figures of many subjects: what sharing a trunk gains, and what their number costs."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from subtr.experiments.results import summary
from subtr.figures.style import GREY, colour_of, label_ends, panels, some, styled
from subtr.params import SettingsError

_SCALE_COLUMNS = ("subjects", "parcels", "cpu_s", "peak_gb", "bold_gb")


@styled
def scale(measured: pd.DataFrame) -> Figure:
    """Seconds by the number of subjects, and by parcels, with a straight line; and peak memory.

    Arguments
        measured: columns subjects, parcels, cpu_s, peak_gb and bold_gb, one row a measurement, as
            ``make bench WHAT=scale`` leaves them in scale.csv.

    Raises
        SettingsError: a column is missing, or there is no row.
    """
    lacking = [column for column in _SCALE_COLUMNS if column not in measured]
    if lacking:
        raise SettingsError(f"measured lacks a column {lacking[0]!r}; take scale.csv of a run.")
    some(measured, "measurement of many subjects")
    figure, axes = panels(1, 3, height_in=3.2)
    most = measured[["subjects", "parcels"]].max()
    by_subjects = measured[measured["parcels"] == most["parcels"]].sort_values("subjects")
    by_parcels = measured[measured["subjects"] == most["subjects"]].sort_values("parcels")
    _line(axes[0, 0], by_subjects, "subjects", f"{most['parcels']} parcels each")
    _line(axes[0, 1], by_parcels, "parcels", f"{most['subjects']} subjects")
    axis = axes[0, 2]
    axis.plot(by_subjects["subjects"], by_subjects["peak_gb"], "o-", color=colour_of("tier1"))
    axis.plot(by_subjects["subjects"], by_subjects["bold_gb"], "--", color=GREY)
    axis.set(ylim=(0, None), xlim=(0, None), xlabel="subjects", ylabel="GB")
    axis.set_title("peak of memory")
    last = by_subjects.iloc[-1]
    ends = [(last["peak_gb"], "process", colour_of("tier1")), (last["bold_gb"], "all BOLD", GREY)]
    label_ends(axis, ends)
    return figure


@styled
def subject_gains(results: pd.DataFrame) -> Figure:
    """What one way of treating subjects gains in r over another: a panel a pair, a row a class.

    Arguments
        results: tidy rows whose metric is "gain in r over <system>".

    Raises
        SettingsError: there are none.
    """
    chosen = results["metric"].str.startswith("gain in r over ")
    rows = summary(some(results[chosen], "gain in r over another way of treating subjects"))
    pairs = list(rows.groupby(["system", "metric"], sort=False))
    groups = list(dict.fromkeys(rows["group"]))
    height_in = 1.2 + 0.3 * len(groups)
    figure, axes = panels(1, len(pairs), height_in=height_in, sharey=True, sharex=True)
    for axis, ((system, metric), part) in zip(axes[0], pairs, strict=True):
        place = np.array([groups.index(group) for group in part["group"]], dtype=float)
        value, low, high = part[["value", "low", "high"]].to_numpy(float).T
        ends, colour = [value - low, high - value], colour_of(system)
        axis.errorbar(value, place, xerr=ends, fmt="o", color=colour, elinewidth=1.2)
        axis.axvline(0, color=GREY, linewidth=0.8, zorder=0)
        axis.set_title(f"{system},\nover {metric.removeprefix('gain in r over ')}", fontsize=9)
    axes[0, 0].set_yticks(range(len(groups)), [group or "all parcels" for group in groups])
    axes[0, 0].set_ylim(len(groups) - 0.5, -0.5)
    figure.supxlabel("gain in r with single subjects' BOLD in unseen time")
    return figure


def _line(axis: Axes, rows: pd.DataFrame, by: str, title: str) -> None:
    """Measured seconds, and the straight line that fits them best."""
    number, seconds = rows[by].to_numpy(float), rows["cpu_s"].to_numpy(float)
    axis.plot(number, seconds, "o", color=colour_of("tier1"))
    if len(rows) > 1:
        slope, start = np.polyfit(number, seconds, 1)
        ends = np.array([0.0, number.max()])
        axis.plot(ends, start + slope * ends, color=GREY, linewidth=1, label="straight line")
        axis.text(0.04, 0.92, f"{slope:.3g} s each", color=GREY, transform=axis.transAxes)
    axis.set(xlim=(0, None), ylim=(0, None), xlabel=by, ylabel="seconds of one core")
    axis.set_title(title)
