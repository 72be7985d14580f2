"""What a system gives against what it costs."""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from subtr.experiments.results import summary
from subtr.figures.style import GREY, colour_of, panels, some, styled
from subtr.params import SettingsError

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
    metric: str = "temporal preservation",
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
