"""Figures of encoding models: which parcels gain, at which timescale, from what, and where."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from subtr.figures.style import GREY, WIDTH_IN, colour_of, label_ends, panels, some, styled
from subtr.params import SettingsError

COORDINATES = ("x_mm", "y_mm", "z_mm")


@styled
def parcel_gains(table: pd.DataFrame, system: str, rival: str) -> Figure:
    """Left, r of every parcel with a system against r with its rival; right, the gain by class.

    Arguments
        table: of `subtr.experiments.brain_encoding.parcel_gains`. Filled points: a gain whose
            interval lies above 0.
        system, rival: their names.
    """
    table = some(table, "parcels with BOLD")
    classes = list(dict.fromkeys(table["tuning"]))
    figure, axes = panels(1, 2, height_in=1.4 + max(2.4, 0.3 * len(classes)))
    surely = (table["low"] > 0).to_numpy()
    left, right = axes[0]
    low = min(0.0, float(np.nanmin(table[["r", "r_rival"]])))
    high = max(0.1, float(np.nanmax(table[["r", "r_rival"]])))
    left.plot([low, high], [low, high], color=GREY, linewidth=0.8, linestyle="--")
    for chosen, face in ((surely, colour_of(system)), (~surely, "white")):
        left.plot(
            table["r_rival"][chosen],
            table["r"][chosen],
            "o",
            color=colour_of(system),
            markerfacecolor=face,
            markersize=5,
        )
    left.set(xlabel=f"held-out r, {rival}", ylabel=f"held-out r, {system}")
    left.set_title("filled: gain above 0 for sure")
    for place, name in enumerate(classes):
        rows = table[table["tuning"] == name]
        heights = place + np.linspace(-0.25, 0.25, len(rows)) if len(rows) > 1 else [place]
        for height, row in zip(heights, rows.itertuples(), strict=True):
            right.plot([row.low, row.high], [height] * 2, color=colour_of(system), linewidth=1)
            right.plot(row.gain, height, "o", color=colour_of(system), markersize=4)
    right.axvline(0, color=GREY, linewidth=0.8)
    right.set_yticks(range(len(classes)), classes)
    right.set(ylim=(len(classes) - 0.5, -0.5), xlabel=f"gain in r over {rival} (95 %)")
    return figure


@styled
def timescales(table: pd.DataFrame) -> Figure:
    """Share of the whole score that is left when the stimulus changes no faster than a cut-off.

    Arguments
        table: of `subtr.experiments.brain_encoding.timescales`.
    """
    table = some(table, "scores by cut-off")
    figure, axes = panels(height_in=3.8)
    axis, ends = axes[0, 0], []
    finite = np.sort(table.loc[np.isfinite(table["cutoff_hz"]), "cutoff_hz"].unique())
    last = 2 * finite[-1] if len(finite) else 1.0
    for number, (name, rows) in enumerate(table.groupby("group", sort=False)):
        rows = rows.sort_values("cutoff_hz")
        x, colour = rows["cutoff_hz"].replace(np.inf, last), to_hex(colormaps["tab10"](number % 10))
        axis.plot(x, rows["r"], "o-", color=colour, markersize=4)
        ends.append((float(rows["r"].iloc[-1]), str(name), colour))
    axis.set_xscale("log")
    axis.set_xticks([*finite, last], [*(f"{hz:g}" for hz in finite), "all"])
    axis.minorticks_off()
    axis.axhline(0, color=GREY, linewidth=0.8)
    axis.set(xlabel="fastest modulation left in the stimulus (Hz)", ylabel="held-out r")
    label_ends(axis, ends)
    return figure


@styled
def peak_times(table: pd.DataFrame) -> Figure:
    """Seconds from activity to the largest BOLD of every parcel, by class or region.

    Arguments
        table: columns ``tuning``, ``peak_s``, ``low`` and ``high``, see
            `subtr.models.encoding_model`.
    """
    table = some(table, "parcels with a response")
    classes = list(dict.fromkeys(table["tuning"]))
    figure, axes = panels(height_in=1.2 + 0.36 * len(classes))
    axis = axes[0, 0]
    for place, name in enumerate(classes):
        rows = table[table["tuning"] == name]
        heights = place + np.linspace(-0.25, 0.25, len(rows)) if len(rows) > 1 else [place]
        for height, row in zip(heights, rows.itertuples(), strict=True):
            axis.plot([row.low, row.high], [height] * 2, color=GREY, linewidth=1)
            axis.plot(row.peak_s, height, "o", color="black", markersize=4)
    axis.set_yticks(range(len(classes)), classes)
    axis.set(ylim=(len(classes) - 0.5, -0.5), xlabel="peak of the response (s after activity)")
    axis.set_xlim(left=0)
    return figure


@styled
def variance_parts(table: pd.DataFrame) -> Figure:
    """R2 of held-out BOLD, by class, split among feature spaces; parts below 0 point left.

    Arguments
        table: of `subtr.experiments.brain_encoding.explained`.
    """
    wide = some(table, "parts of variance").pivot(index="group", columns="part", values="r2")
    wide = wide[list(dict.fromkeys(table["part"]))].loc[list(dict.fromkeys(table["group"]))]
    figure, axes = panels(height_in=1.6 + 0.34 * len(wide) + 0.2 * (len(wide.columns) // 3))
    axis = axes[0, 0]
    for sign in (1, -1):
        start = np.zeros(len(wide))
        for number, part in enumerate(wide):
            width = (wide[part] * sign).clip(lower=0).to_numpy() * sign
            label = part if sign > 0 else None
            colour = colormaps["tab20"](number)  # up to 15 parts, so no system's own colours
            axis.barh(range(len(wide)), width, left=start, color=colour, label=label)
            start = start + width
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(wide)), wide.index)
    axis.set(ylim=(len(wide) - 0.5, -0.5), xlabel="share of held-out variance (R2)")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncol=3, fontsize=8)
    return figure


@styled
def brain_map(parcels: pd.DataFrame, values: Float[np.ndarray, " parcel"], title: str) -> Figure:
    """Values of parcels in a glass brain, by nilearn.

    Arguments
        parcels: with columns ``x_mm``, ``y_mm`` and ``z_mm``, centres in MNI space.

    Raises
        SettingsError: the centres are not known.
    """
    missing = [column for column in COORDINATES if column not in parcels]
    if missing:
        raise SettingsError(
            f"the table of parcels has no column {missing[0]}: give the centre of each parcel in "
            "mm of MNI space to see them in a brain."
        )
    from nilearn import plotting  # takes seconds, and few figures need it

    figure, axes = panels(height_in=3.2, layout="none")
    known = np.isfinite(values) & parcels[list(COORDINATES)].notna().all(axis=1).to_numpy()
    largest = max(float(np.abs(values[known]).max(initial=0.0)), 1e-6)
    plotting.plot_markers(
        values[known],
        parcels.loc[known, list(COORDINATES)].to_numpy(float),
        node_cmap="RdBu_r",
        node_vmin=-largest,
        node_vmax=largest,
        title=title,
        figure=figure,
        axes=axes[0, 0],
    )
    figure.set_size_inches(WIDTH_IN, 3.2)
    return figure
