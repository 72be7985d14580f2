"""What is lost when a level of a hierarchy says nothing."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from subtr.figures.style import GREY, panels, some, styled


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
