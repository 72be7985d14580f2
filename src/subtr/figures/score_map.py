"""Many systems by many groups: scores as numbers on colours."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from subtr.experiments.results import summary
from subtr.figures.style import panels, some, styled


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
