"""Figures of BOLD: how reliable it is, when it answers, and how well it is predicted."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from subtr.experiments.results import summary
from subtr.figures.style import GREY, WIDTH_IN, colour_of, panels, some, styled
from subtr.metrics.bold import known_mean
from subtr.params import SettingsError


@styled
def bold_reliability(ceiling: Float[np.ndarray, " parcel"], parcels: pd.DataFrame) -> Figure:
    """The noise ceiling of every parcel, by tuning class, with the class's median.

    Arguments
        ceiling: highest r that a model can reach (parcel,), see ``metrics.split_half_ceiling``.
        parcels: index: names of parcels; column ``tuning``.

    Raises
        SettingsError: as many ceilings as parcels were expected.
    """
    if len(ceiling) != len(parcels):
        raise SettingsError(
            f"{len(ceiling)} ceilings for {len(parcels)} parcels: expected one each."
        )
    tuning = parcels["tuning"].astype(str).to_numpy()
    classes = list(dict.fromkeys(tuning))
    figure, axes = panels(height_in=1.0 + 0.32 * len(classes))
    axis = axes[0, 0]
    for place, name in enumerate(classes):
        values = ceiling[tuning == name]
        # Spread evenly, so that equal parcels do not hide one another.
        height = place + (np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else 0.0)
        axis.plot(values, np.broadcast_to(height, values.shape), "o", color=GREY, markersize=4)
        if len(values) > 1 and np.isfinite(values).any():
            median = np.nanmedian(values)
            axis.plot([median] * 2, [place - 0.32, place + 0.32], color="black", label="median")
    axis.set_yticks(range(len(classes)), classes)
    axis.set(ylim=(len(classes) - 0.4, -0.6), xlim=(0, 1))
    axis.set_xlabel("noise ceiling: highest r that a model can reach (bar: median of the class)")
    return figure


@styled
def lag_scan(
    lags_s: Float[np.ndarray, " lag"], r: Float[np.ndarray, "lag parcel"], expected_s: float | int
) -> Figure:
    """Correlation of a feature with BOLD that comes later: parcels thin, their mean thick.

    Arguments
        lags_s, r: see ``metrics.lag_scan``.
        expected_s: where the peak should be.
    """
    figure, axes = panels(height_in=3.4)
    axis = axes[0, 0]
    known = r[:, np.isfinite(r).any(0)]
    if not known.size:
        raise SettingsError("r has no finite value: expected at least one parcel with a lag scan.")
    axis.plot(lags_s, known, color="#BBBBBB", linewidth=0.8, zorder=1)
    mean = known_mean(known, axis=1)
    axis.plot(lags_s, mean, color="black", label="mean of parcels")
    peak = int(np.nanargmax(mean))
    axis.plot(lags_s[peak], mean[peak], "o", color=colour_of("tier 1"), zorder=3)
    said = f"the mean peaks at {lags_s[peak]:g} s"
    at_corner = {"transform": axis.transAxes, "ha": "right"}
    axis.text(0.99, 0.94, said, color=colour_of("tier 1"), **at_corner)
    axis.axvline(expected_s, color=GREY, linestyle=":", zorder=0)
    axis.text(expected_s, 0.02, f" expected: {expected_s:g} s", color=GREY, transform=_x_data(axis))
    axis.axvspan(lags_s[0], 0, color="#F2F2F2", zorder=-1)
    axis.text(lags_s[0], 0.94, "  BOLD before the stimulus", color=GREY, transform=_x_data(axis))
    axis.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    axis.set_xlim(lags_s[0], lags_s[-1])
    axis.set(xlabel="BOLD comes later by (s)", ylabel="r")
    return figure


@styled
def bold_by_group(results: pd.DataFrame, metric: str = "r / ceiling") -> Figure:
    """BOLD prediction by group (tuning class, region): a point a system, with its interval.

    The ceiling is a dashed line at 1 for "r / ceiling", else a dash per group where rows have it.

    Raises
        SettingsError: no row of this metric with a group.
    """
    n_groups = results.loc[_chosen(results, metric), "group"].nunique()
    n_systems = results.loc[_chosen(results, metric), "system"].nunique()
    height_in = 1.4 + n_groups * (0.18 + 0.13 * n_systems)
    figure, axes = panels(height_in=height_in, figsize=(WIDTH_IN, height_in))
    draw_bold_by_group(axes[0, 0], results, metric)
    return figure


def draw_bold_by_group(axis: Axes, results: pd.DataFrame, metric: str = "r / ceiling") -> None:
    """`bold_by_group` into axes that are there."""
    rows = summary(some(results[_chosen(results, metric)], f"BOLD {metric!r} by group"))
    groups = {name: place for place, name in enumerate(rows["group"].unique())}
    systems = list(rows.groupby(["system", "floats_per_tr"], dropna=False, sort=False))
    repeated = pd.Series([system for (system, _), _ in systems]).value_counts()
    for index, ((system, floats), part) in enumerate(systems):
        shift = 0.6 * ((index + 0.5) / len(systems) - 0.5)
        value = part["value"].to_numpy(float)
        low, high = (part[end].fillna(part["value"]).to_numpy(float) for end in ("low", "high"))
        axis.errorbar(
            value,
            part["group"].map(groups).to_numpy(float) + shift,
            xerr=np.maximum([value - low, high - value], 0),
            color=colour_of(system),
            label=f"{system}, {floats:g} floats" if repeated[system] > 1 else system,
            marker="o",
            markersize=4.5,
            elinewidth=1.2,
            linestyle="none",
        )
    if metric == "r / ceiling":
        axis.axvline(1, color=GREY, linestyle="--", linewidth=1, zorder=0)
        axis.text(1, -0.55, "ceiling", color=GREY, ha="center", va="bottom")
    else:
        for name, ceiling in rows.groupby("group")["ceiling"].mean().dropna().items():
            place = groups[name]
            axis.plot([ceiling] * 2, [place - 0.4, place + 0.4], "--", color=GREY, linewidth=1)
    for place in range(1, len(groups)):
        axis.axhline(place - 0.5, color="#DDDDDD", linewidth=0.6, zorder=0)
    axis.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    axis.set_yticks(list(groups.values()), list(groups))
    axis.set_ylim(len(groups) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    label = "r / noise ceiling" if metric == "r / ceiling" else metric
    axis.set_xlabel(f"BOLD in unseen time: {label}")
    below = -0.55 / (axis.figure.get_figheight() - 1.1)
    axis.legend(loc="upper left", bbox_to_anchor=(0, below), ncols=4, labelcolor="linecolor")


def _chosen(results: pd.DataFrame, metric: str) -> pd.Series:
    bold = (results["modality"] == "bold") & (results["group"] != "")
    return bold & (results["metric"] == metric)


def _x_data(axis: Axes):
    return axis.get_xaxis_transform()
