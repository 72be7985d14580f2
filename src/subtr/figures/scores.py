"""Figures of training and of temporal preservation."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from subtr.experiments.results import summary
from subtr.figures.intervals import with_intervals
from subtr.figures.style import GREY, colour_of, label_ends, label_points, panels, some, styled
from subtr.metrics.temporal import BANDS_HZ

_PRESERVED = "temporal preservation"
_PARTS = {
    "sound": colour_of("PCA"),
    "pictures": colour_of("tier1"),
    "bold": colour_of("tier2"),
}


@styled
def training_curves(history: pd.DataFrame) -> Figure:
    """Losses by epoch: validation in colour, training in grey, a line a fold, a panel a loss.

    Arguments
        history: columns epoch, part ("train", "validation"), name (of the loss), value, and fold
            where there are several (see ``training.fit``).
    """
    history = history if "fold" in history else history.assign(fold=0)
    names = list(some(history, "history of a training")["name"].unique())
    n_columns = 2 if len(names) == 4 else min(len(names), 3)
    n_rows = -(-len(names) // n_columns)
    figure, axes = panels(n_rows, n_columns, height_in=2.8 * n_rows, sharex=True)
    colours = {"train": GREY, "validation": colour_of("PCA")}
    for axis, name in zip(axes.ravel(), names, strict=False):
        ends = {}
        of_name = history[history["name"] == name]
        for (part, fold), line in of_name.groupby(["part", "fold"], sort=False):
            line = line.sort_values("epoch")
            style = "--" if part == "train" else "-"
            label = f"{part}, fold {fold}"
            axis.plot(
                line["epoch"], line["value"], style, color=colours[part], label=label, linewidth=1.2
            )
            ends.setdefault(part, []).append(line["value"].iloc[-1])
        values = of_name["value"].to_numpy()
        positive = (values > 0).all() and values.max() > 20 * values.min()
        axis.set(title=name.replace("_", " "), yscale="log" if positive else "linear")
        label_ends(
            axis,
            [(float(np.mean(last)), part, colours[part]) for part, last in ends.items()],
            gap=0.09,
        )
    for axis in axes.ravel()[len(names) :]:
        axis.set_visible(False)
    for column in range(n_columns):
        last = max(i for i in range(len(names)) if i % n_columns == column)
        axes.ravel()[last].set_xlabel("epoch")
        axes.ravel()[last].xaxis.set_tick_params(labelbottom=True)
    return figure


@styled
def training_panels(curves: pd.DataFrame, n_columns: int = 6) -> Figure:
    """Validation losses relative to the first, a small panel a system, a line a part and fold.

    Arguments
        curves: columns system, part, epoch, share; see `subtr.experiments.gallery.fallen_curves`.
    """
    systems = list(some(curves, "loss of a training")["system"].unique())
    n_rows = -(-len(systems) // n_columns)
    size = {"height_in": 1.25 * n_rows + 0.3, "gridspec_kw": {"hspace": 0.05}}
    figure, axes = panels(n_rows, n_columns, **size)
    for axis, system in zip(axes.ravel(), systems, strict=False):
        for part, line in curves[curves["system"] == system].groupby("part", sort=False):
            modality = str(part).split(",")[0]
            axis.plot(line["epoch"], line["share"], color=_PARTS[modality], linewidth=1.0)
        axis.axhline(1.0, color=GREY, linewidth=0.5, linestyle=":")
        axis.set_title(system.replace("_", " "), fontsize=7)
        axis.tick_params(labelsize=6)
    for axis in axes.ravel()[len(systems) :]:
        axis.set_visible(False)
    named = zip(("audio", "video", "BOLD"), _PARTS.values(), strict=True)
    for place, (name, colour) in enumerate(named):
        figure.text(0.01 + 0.07 * place, 0.0, name, color=colour, fontsize=8, va="top")
    return figure


@styled
def preservation_by_band(results: pd.DataFrame, modality: str = "sound") -> Figure:
    """Temporal preservation of each modulation band, a line a system, with intervals.

    Arguments
        results: tidy rows (see ``results.COLUMNS``) of metrics such as
            "temporal preservation 2-4 Hz".

    Raises
        SettingsError: no such rows.
    """
    bands = {f"{_PRESERVED} {band}": band for band in BANDS_HZ}
    chosen = (results["modality"] == modality) & results["metric"].isin(bands)
    rows = summary(some(results[chosen & (results["group"] == "")], "preservation by band"))
    rows = rows[rows["value"].notna()]
    present = [metric for metric in bands if (rows["metric"] == metric).any()]
    figure, axes = panels(height_in=3.8)
    axis, ends = axes[0, 0], []
    systems = list(rows.groupby(["system", "floats_per_tr"], dropna=False, sort=False))
    repeated = pd.Series([system for (system, _), _ in systems]).value_counts()
    for index, ((system, floats), line) in enumerate(systems):
        line = line.set_index("metric").reindex(present)
        shift = 0.24 * (index / max(len(systems) - 1, 1) - 0.5)
        name = f"{system}, {floats:g} floats" if repeated[system] > 1 else system
        x = np.arange(len(present)) + shift
        with_intervals(axis, x, line, system, name, joined=True)
        ends.append((float(line["value"].dropna().iloc[-1]), name, colour_of(system)))
    axis.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    axis.set_xticks(range(len(present)), [bands[metric] for metric in present])
    axis.set(
        xlabel="modulation band", ylabel=f"{_PRESERVED} ({modality})\n0: averaging, 1: perfect"
    )
    # From nothing kept to all, also where a system keeps nothing.
    axis.set_ylim(min(-0.05, axis.get_ylim()[0]), max(1.03, axis.get_ylim()[1]))
    label_ends(axis, ends)
    return figure


@styled
def preservation_by_floats(results: pd.DataFrame, modality: str = "sound") -> Figure:
    """Temporal preservation against the floats that a system keeps of each TR, with intervals.

    A system at several sizes, such as PCA, is a line; the ceiling is dotted where rows have it.

    Raises
        SettingsError: no row of temporal preservation with floats_per_tr.
    """
    figure, axes = panels(height_in=3.8)
    draw_preservation_by_floats(axes[0, 0], results, modality)
    return figure


def draw_preservation_by_floats(axis: Axes, results: pd.DataFrame, modality: str) -> None:
    """`preservation_by_floats` into axes that are there."""
    chosen = (results["modality"] == modality) & (results["metric"] == _PRESERVED)
    rows = summary(some(results[chosen & (results["group"] == "")], f"{_PRESERVED} of {modality}"))
    rows = some(rows[rows["floats_per_tr"] > 0], f"{_PRESERVED} with floats_per_tr")
    points = []
    for system, line in rows.groupby("system", sort=False):
        line = line.sort_values("floats_per_tr")
        with_intervals(axis, line["floats_per_tr"], line, system, system, joined=True)
        last = line.iloc[-1]
        points.append((float(last["floats_per_tr"]), float(last["value"]), system))
    axis.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    if rows["ceiling"].notna().any():
        ceiling = float(rows["ceiling"].mean())
        axis.axhline(ceiling, color=GREY, linewidth=1, linestyle=":", zorder=0)
        axis.text(
            1,
            ceiling,
            "ceiling",
            color=GREY,
            transform=axis.get_yaxis_transform(),
            va="bottom",
            ha="right",
        )
    sizes = sorted(rows["floats_per_tr"].unique())
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axis.minorticks_off()
    axis.set_xlim(sizes[0] / 1.25, sizes[-1] * 1.7)
    axis.set(xlabel="floats kept of each TR", ylabel=f"{_PRESERVED} ({modality})")
    label_points(axis, [(*point, colour_of(point[-1])) for point in points])
