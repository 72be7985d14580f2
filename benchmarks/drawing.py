"""Figures that only measurements need, beside those of `subtr.viewing`."""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from subtr.experiments.results import summary
from subtr.metrics.inference import block_bootstrap
from subtr.metrics.temporal import averaging_gain
from subtr.viewing.modulation import octaves
from subtr.viewing.style import GREY, colour_of, panels, some, styled


@styled
def score_map(rows: pd.DataFrame, score: str, by: str = "group", lowest: float = 0.0) -> Figure:
    """A row a system, a column a group; numbers are means over seeds.

    Arguments
        rows: tidy rows of one score, see ``results.COLUMNS``.
        score: what the value is, for the bar of colours.
        by: the column whose values become columns of the figure: "group", "metric" or
            "floats_per_tr".
        lowest: scores at or below it get the palest colour.

    Raises
        SettingsError: no rows.
    """
    means = summary(some(rows, score))
    table = means.pivot_table(index="system", columns=by, values="value", sort=False)
    if by == "floats_per_tr":
        table = table[sorted(table)]
    figure, axes = panels(height_in=1.2 + 0.32 * len(table))
    axis = axes[0, 0]
    highest = float(np.nanmax(table.to_numpy()))
    image = axis.imshow(table, cmap="Blues", aspect="auto", vmin=lowest, vmax=max(highest, lowest))
    middle = lowest + 0.6 * (highest - lowest)
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        if np.isfinite(value):
            colour = "white" if value > middle else "black"
            axis.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
    names = [f"{name:g} floats" if by == "floats_per_tr" else name for name in table.columns]
    axis.set_xticks(range(len(names)), names)
    axis.set_yticks(range(len(table)), table.index)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.colorbar(image, label=score, shrink=0.8)
    return figure


@styled
def transfer_by_training(
    transfers: pd.DataFrame,
    tr_s: float | int,
    frames_per_tr: int,
    column: Literal["in_phase_gain", "gain"] = "in_phase_gain",
) -> Figure:
    """What training does to the modulation that each aggregator passes: a panel an aggregator.

    Grey before training, in colour after; dashed, averaging by its formula.

    Arguments
        transfers: columns aggregator, when ("before", "after"), rate_hz, ``column``, and start
            where some begin from "pca", which then have a panel of their own.
        tr_s, frames_per_tr: of the averaging.
        column: "gain", the size of the response; "in_phase_gain", the part in phase with the drive.

    Raises
        SettingsError: no rows.
    """
    transfers = some(transfers, "modulation transfer")
    starts = transfers.get("start", "random")
    cases = list(transfers.assign(start=starts).groupby(["aggregator", "start"], sort=False))
    n_columns = min(4, len(cases))
    n_rows = -(-len(cases) // n_columns)
    shared = {"sharex": True, "sharey": True}
    figure, axes = panels(n_rows, n_columns, height_in=0.7 + 1.9 * n_rows, **shared)
    low_hz, high_hz = transfers["rate_hz"].min(), transfers["rate_hz"].max()
    fine_hz = np.geomspace(low_hz, high_hz, 1000)
    formula = averaging_gain(fine_hz, tr_s, frames_per_tr) ** (1 if column == "gain" else 2)
    for axis, ((name, start), rows) in zip(axes.ravel(), cases, strict=False):
        axis.plot(fine_hz, formula, "--", color="#444444", linewidth=1, label="averaging, formula")
        axis.set_title(f"{name.replace('_', ' ')}{', from PCA' if start == 'pca' else ''}")
        for when, colour in (("before", "#AAAAAA"), ("after", colour_of("tier 1"))):
            line = rows[rows["when"] == when].sort_values("rate_hz")
            style = {"color": colour, "marker": "o", "markersize": 3, "label": f"{when} training"}
            axis.plot(line["rate_hz"], line[column], **style)
        octaves(axis, low_hz, high_hz)
        axis.set_xticks(axis.get_xticks()[1::2])
    for axis in axes.ravel()[len(cases) :]:
        axis.set_visible(False)
    figure.supxlabel("modulation rate (Hz)", fontsize=10)
    said = {"gain": "size of the response", "in_phase_gain": "part of it in phase with the drive"}
    figure.supylabel(f"gain: {said[column]}", fontsize=10)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside upper left", ncols=3)
    return figure


_COLOURS = {"sparse": "#D55E00", "wiener": "#0072B2"}


@styled
def deconvolution_gain(table: pd.DataFrame) -> Figure:
    """When deconvolution helps and when it hurts: r with the true activity against noise.

    Rows of panels: the kind of activity; columns: when the response truly peaked. Lines are methods
    with 95 % intervals over parcels and seeds; above the grey line of BOLD merely shifted back by
    its lag, deconvolution helps.

    Arguments
        table: columns activity, peak_s, assumed_peak_s, snr, method, r; one row a parcel and seed.

    Raises
        SettingsError: no rows.
    """
    table = some(table, "deconvolution")
    kinds, peaks_s = table["activity"].unique(), np.sort(table["peak_s"].unique())
    size = {"height_in": 0.9 + 2.3 * len(kinds), "sharex": True, "sharey": True}
    figure, axes = panels(len(kinds), len(peaks_s), **size)
    for (kind, peak_s), part in table.groupby(["activity", "peak_s"], sort=False):
        axis = axes[list(kinds).index(kind), list(peaks_s).index(peak_s)]
        off_s = peak_s - part["assumed_peak_s"].iloc[0]
        said = "as assumed" if off_s == 0 else f"{off_s:+g} s off"
        axis.set_title(f"{kind}; response {said}")
        for method, rows in part.groupby("method", sort=False):
            by_snr = [_mean_and_ends(of["r"].to_numpy()) for _, of in rows.groupby("snr")]
            mean, low, high = np.array(by_snr).T
            colour = _COLOURS.get(method, GREY)
            snr = np.sort(rows["snr"].unique())
            axis.plot(snr, mean, color=colour, marker="o", markersize=3.5, label=method)
            axis.fill_between(snr, low, high, color=colour, alpha=0.2, linewidth=0)
        axis.axhline(0, color=GREY, linewidth=0.8, zorder=0)
        axis.set_xscale("log")
    figure.supxlabel("variance of the response over that of the noise", fontsize=10)
    figure.supylabel("r with the true activity", fontsize=10)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3)
    return figure


@styled
def peak_recovery(table: pd.DataFrame) -> Figure:
    """Peak times that were planted against those that were found, a panel a fit and response.

    The grey band is twice the lowest error that any unbiased estimate can have (Cramer-Rao).

    Arguments
        table: columns fit, response, peak_s, found_s, bound_s; one row a parcel and seed.

    Raises
        SettingsError: no rows.
    """
    cases = list(some(table, "planted peak times").groupby(["fit", "response"], sort=False))
    figure, axes = panels(1, len(cases), height_in=3.2, sharex=True, sharey=True)
    for axis, ((fit, response), rows) in zip(axes[0], cases, strict=True):
        by_peak = rows.groupby("peak_s")["bound_s"].mean()
        planted_s = by_peak.index.to_numpy()
        axis.fill_between(
            planted_s, planted_s - 2 * by_peak, planted_s + 2 * by_peak, color="#DDDDDD"
        )
        axis.plot(planted_s, planted_s, color=GREY, linewidth=0.8)
        beside = np.random.default_rng(0).uniform(-0.15, 0.15, len(rows))
        style = {"color": colour_of("tier 1"), "markersize": 3, "alpha": 0.5}
        axis.plot(rows["peak_s"] + beside, rows["found_s"], "o", **style)
        error_s = (rows["found_s"] - rows["peak_s"]).abs()
        axis.set_title(f"{fit}, {response}: median error {error_s.median():.2f} s")
        axis.set_xlabel("planted peak (s)")
    axes[0, 0].set_ylabel("found peak (s)")
    # A parcel or two far off would flatten all the others.
    axes[0, 0].set_ylim(table["peak_s"].min() - 2.5, table["peak_s"].max() + 2.5)
    return figure


def _mean_and_ends(r: np.ndarray) -> tuple[float, float, float]:
    """The mean, and its 95 % interval by resampling rows, which are independent draws."""
    return (float(r.mean()), *block_bootstrap(lambda index: r[index].mean(), len(r), 1))
