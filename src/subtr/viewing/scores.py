"""Figures of scores: systems, levels, quality, cost."""

from collections.abc import Mapping, Sequence
from typing import Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from subtr.experiments.results import summary
from subtr.metrics.temporal import BANDS_HZ
from subtr.params import SettingsError
from subtr.viewing.stimulus import picture_strips
from subtr.viewing.style import (
    GREY,
    colour_of,
    label_ends,
    label_points,
    panels,
    some,
    styled,
    with_intervals,
)

_PRESERVED = "within-TR R²"

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
def within_tr_r2_by_band(results: pd.DataFrame, modality: str = "sound") -> Figure:
    """Within-TR R² of each modulation band, a line a system, with intervals.

    Arguments
        results: tidy rows (see ``results.COLUMNS``) of metrics such as
            "within-TR R² 2-4 Hz".

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
def within_tr_r2_by_floats(results: pd.DataFrame, modality: str = "sound") -> Figure:
    """Within-TR R² against the floats that a system keeps of each TR, with intervals.

    A system at several sizes, such as PCA, is a line; the ceiling is dotted where rows have it.

    Raises
        SettingsError: no row of within-TR R² with floats_per_tr.
    """
    figure, axes = panels(height_in=3.8)
    draw_within_tr_r2_by_floats(axes[0, 0], results, modality)
    return figure


def draw_within_tr_r2_by_floats(axis: Axes, results: pd.DataFrame, modality: str) -> None:
    """`within_tr_r2_by_floats` into axes that are there."""
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


@styled
def without_parts(rows: pd.DataFrame, score: str) -> Figure:
    """Scores by group with all levels, black, and without each, from fine (dark) to coarse.

    Arguments
        rows: columns ``without`` (of the level; the first is with all), ``group`` (band, class) and
            ``value``; see `subtr.experiments.analyses`.
        score: what the value is, for the axis.

    What is lost is the length of the line from the black point.

    Raises
        SettingsError: no rows.
    """
    values = some(rows, f"{score} without levels").pivot_table(
        index="group", columns="without", values="value", sort=False
    )
    groups, (whole, *levels) = list(values.index), list(values.columns)
    figure, axes = panels(height_in=1.7 + len(groups) * (0.16 + 0.13 * len(levels)))
    axis = axes[0, 0]
    shades = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(levels)))
    place = np.arange(len(groups))
    for index, (level, shade) in enumerate(zip(levels, shades, strict=True)):
        height = place + 0.7 * ((index + 0.5) / len(levels) - 0.5)
        axis.hlines(height, values[level], values[whole], color=shade, linewidth=1.2)
        axis.plot(values[level], height, "o", color=shade, markersize=5, label=f"without {level}")
        axis.plot(values[whole], height, ".", color="black", markersize=3)
    axis.plot([], [], ".", color="black", label=whole)
    for border in place[1:]:
        axis.axhline(border - 0.5, color="#DDDDDD", linewidth=0.6, zorder=0)
    axis.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    axis.set_yticks(place, groups)
    axis.set_ylim(len(groups) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(score)
    figure.legend(loc="outside lower center", ncols=min(len(levels) + 1, 3))
    return figure


@styled
def scores_of_systems(results: pd.DataFrame, modality: str, metrics: Sequence[str]) -> Figure:
    """Scores of the whole with their intervals: a row a system, a panel a metric, dotted: floor.

    Arguments
        results: tidy rows, see ``results.COLUMNS``.
        metrics: those that nothing was scored by are left out.

    Raises
        SettingsError: nothing was scored by any of them.
    """
    chosen = (results["modality"] == modality) & results["metric"].isin(list(metrics))
    rows = some(results[chosen & (results["group"] == "")], " or ".join(metrics))
    metrics = [metric for metric in metrics if metric in set(rows["metric"])]
    rows = summary(rows)
    systems = list(dict.fromkeys(zip(rows["system"], rows["floats_per_tr"].fillna(0), strict=True)))
    figure, axes = panels(1, len(metrics), height_in=1.1 + 0.34 * len(systems), sharey=True)
    for axis, metric in zip(axes[0], metrics, strict=True):
        for row in rows[rows["metric"] == metric].fillna({"floats_per_tr": 0}).to_dict("records"):
            place = systems.index((row["system"], row["floats_per_tr"]))
            colour = colour_of(row["system"])
            axis.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.4)
            axis.plot(row["value"], place, "o", color=colour, markersize=6)
        floor = rows.loc[rows["metric"] == metric, "floor"].mean()
        if np.isfinite(floor):
            axis.axvline(floor, color=GREY, linewidth=1, linestyle=":", zorder=0)
        axis.set_title(metric)
        axis.tick_params(axis="y", length=0)
    names = [f"{name} ({size:g} floats)" if size else name for name, size in systems]
    axes[0, 0].set_yticks(range(len(systems)), names)
    axes[0, 0].set_ylim(len(systems) - 0.5, -0.5)
    figure.supxlabel("dotted: what averaging gets", fontsize=9, color=GREY)
    return figure


def change_strips(
    pictures: Mapping[str, UInt8[np.ndarray, "tr picture height width 3"]],
    tr: int,
    times: float = 3.0,
) -> Figure:
    """How each picture of a TR differs from the one before: grey where nothing changes.

    Arguments
        pictures: name -> 0 to 255, see `picture_strips`.
        tr: which TR; its first picture has none before it and is left out.
        times: by how much differences are enlarged, to be seen.
    """
    changes = {}
    for name, film in pictures.items():
        change = np.diff(film.astype(np.float32), axis=1) * times + 128
        changes[name] = change.round().clip(0, 255).astype(np.uint8)
    return picture_strips(changes, tr)


# Bits of a number at half precision.
_BITS_A_FLOAT = 16

# With names of systems beside each, more panels than that are too narrow in a row.
_MOST_BESIDE = 3

_FIXED = {"round trip": "ceiling", "mean": "averaging"}


@styled
def quality_by_floats(results: pd.DataFrame, metrics: Sequence[str]) -> Figure:
    """Scores against floats a TR, a panel a metric and a line a system, with intervals.

    What has no size is a level across: the round trip dotted, which is the ceiling, and averaging,
    the floor.

    Arguments
        results: tidy rows of one study, see ``results.COLUMNS``.
        metrics: those that are shown; of those that the rows lack there is no panel, nor where the
            ceiling is no higher than the floor, as of words where nobody speaks.

    Raises
        SettingsError: none of the metrics is there.
    """
    chosen = results["metric"].isin(list(metrics)) & (results["group"] == "")
    rows = summary(some(results[chosen], f"{' or '.join(metrics)} by floats"))
    present = [metric for metric in metrics if _decides(rows[rows["metric"] == metric])]
    some(rows[rows["metric"].isin(present)], f"{' or '.join(metrics)} that a judge can tell")
    n_columns = len(present) if len(present) <= _MOST_BESIDE else 2
    n_rows = -(-len(present) // n_columns)
    figure, axes = panels(n_rows, n_columns, height_in=3.2 * n_rows)
    for axis in axes.flat[len(present) :]:
        axis.remove()
    for axis, metric in zip(axes.flat, present, strict=False):
        of, ends = rows[rows["metric"] == metric], []
        sized = of[of["floats_per_tr"].notna() & ~of["system"].isin(_FIXED)]
        for system, line in sized.groupby("system", sort=False):
            line, name = line.sort_values("floats_per_tr"), str(system)
            with_intervals(axis, line["floats_per_tr"], line, name, name, joined=True)
            ends.append((float(line["value"].iloc[-1]), name, colour_of(name)))
        for system, name in _FIXED.items():
            level = of.loc[(of["system"] == system) & of["value"].notna(), "value"]
            if len(level):
                axis.axhline(level.iloc[0], color=GREY, linestyle=":", linewidth=1)
                ends.append((float(level.iloc[0]), name, GREY))
        sizes = _apart(sorted(sized["floats_per_tr"].unique()))
        axis.set_xscale("log", base=2)
        axis.set_xticks(sizes, [f"{size:g}\n{size * _BITS_A_FLOAT / 1000:.3g}k" for size in sizes])
        axis.minorticks_off()
        axis.set(title=metric, xlabel="floats per TR, bits at half precision")
        label_ends(axis, ends)
    return figure


def _decides(rows: pd.DataFrame) -> bool:
    levels = rows.groupby("system")["value"].max()
    if {"round trip", "mean"} <= set(levels.index):
        return bool(levels["round trip"] > levels["mean"])
    return len(rows) > 0


def _apart(sizes: list[float]) -> list[float]:
    """Those far enough from the one before that their labels do not meet."""
    least, kept = (sizes[-1] / sizes[0]) ** 0.2, sizes[:1]
    for size in sizes[1:]:
        if size / kept[-1] >= least:
            kept.append(size)
    return kept


_AXES = {
    "parameters": "parameters of the stream",
    "flops": "FLOPs of a forward pass of a TR",
    "activation_bytes": "bytes kept for the backward pass",
    "forward_ms": "milliseconds of a forward pass",
    "step_ms": "milliseconds of a training step",
}


@styled
def cost_benefit(
    costs: pd.DataFrame,
    scores: pd.DataFrame,
    cost: Literal[
        "parameters", "flops", "activation_bytes", "forward_ms", "step_ms"
    ] = "parameters",
    metric: str = "within-TR R²",
    modality: str = "sound",
) -> Figure:
    """A score against a cost on a logarithmic axis, a point a system, with intervals.

    Systems that only one of the two tables knows, or that cost nothing, are left out.

    Arguments
        costs: rows as of `subtr.experiments.cost.cost_table`, of which ``system`` and the chosen
            cost are needed. Where they have ``floats_per_tr``, they are of the scores of that size
            alone.
        scores: tidy rows (see ``results.COLUMNS``) of the same names of systems.
        cost, metric, modality: what to draw; scores of the whole, not of groups.

    Raises
        SettingsError: no such column of costs, no such scores, or no system in both tables.
    """
    lacking = [column for column in ("system", cost) if column not in costs]
    if lacking:
        raise SettingsError(f"The costs lack a column {lacking[0]!r}; take those of cost_table.")
    chosen = (scores["modality"] == modality) & (scores["metric"] == metric)
    rows = summary(some(scores[chosen & (scores["group"] == "")], f"{metric} of {modality}"))
    keys = ["system", "floats_per_tr"] if "floats_per_tr" in costs else ["system"]
    known = costs[[*keys, cost]].astype({key: float for key in (*keys[1:], cost)})
    both = rows[rows["value"].notna()].merge(known[known[cost] > 0], on=keys)
    both = some(both, f"{metric} of a system whose {cost} the costs hold").sort_values(cost)

    figure, axes = panels(height_in=4.2)
    axis, points = axes[0, 0], []
    repeated = both["system"].value_counts()
    for row in both.to_dict("records"):
        name, value = row["system"], row["value"]
        low, high = (value if np.isnan(row[end]) else row[end] for end in ("low", "high"))
        if repeated[name] > 1 and row["floats_per_tr"] > 0:
            name = f"{name}, {row['floats_per_tr']:g} floats"
        axis.errorbar(
            row[cost],
            value,
            yerr=[[max(value - low, 0)], [max(high - value, 0)]],
            color=colour_of(row["system"]),
            label=name,
            marker="o",
            markersize=5,
            capsize=2,
            elinewidth=1.2,
            linestyle="none",
        )
        points.append((row[cost], (low, value, high), name, colour_of(row["system"])))
    axis.set_xscale("log")
    for end in ("floor", "ceiling"):
        if both[end].notna().any():
            height = float(both[end].mean())
            axis.axhline(height, color=GREY, linewidth=1, linestyle=":", zorder=0)
            place = {"transform": axis.get_yaxis_transform(), "va": "bottom", "ha": "right"}
            axis.text(1, height, end, color=GREY, **place)
    axis.set(xlabel=_AXES.get(cost, cost.replace("_", " ")), ylabel=f"{metric} ({modality})")
    axis.margins(y=0.12)
    # Room for the names, which stand right of the points.
    first, last = both[cost].min(), both[cost].max()
    span = max(last / first, 10.0)
    axis.set_xlim(first / span**0.08, last * span**0.45)
    _name(figure, axis, points)
    return figure


def _name(
    figure: Figure, axis: Axes, points: list[tuple[float, tuple[float, float, float], str, str]]
) -> None:
    """Names right of points (x, (low, value, high), name, colour), none over a name or a point."""
    figure.draw_without_rendering()
    taken = []
    for x, (low, _, high), _, _ in points:
        bar = Bbox(axis.transData.transform([(x, low), (x, high)]))
        taken.append(bar.padded(4 / 72 * figure.dpi))
    for x, (_, value, _), name, colour in points:
        label = axis.annotate(
            name, (x, value), xytext=(9, 0), textcoords="offset points", color=colour, va="center"
        )
        # Names must not make the axes smaller, for which the places were found.
        label.set_in_layout(False)
        half_pt = label.get_window_extent().height * 36 / figure.dpi
        for step in range(8 * len(points)):
            # By turns above and below, ever farther.
            label.set_position((9, (step + 1) // 2 * (-1) ** step * half_pt))
            box = label.get_window_extent()
            inside = axis.bbox.y0 <= box.y0 and box.y1 <= axis.bbox.y1
            if inside and not any(box.overlaps(other) for other in taken):
                break
        taken.append(label.get_window_extent())
