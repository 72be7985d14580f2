"""Figures of the haemodynamic response: how well it is found, and what undoing it is worth."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from subtr.figures.style import GREY, colour_of, panels, some, styled
from subtr.metrics.inference import block_bootstrap

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
