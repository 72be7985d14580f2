"""Points with their intervals, as every figure of scores draws them."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from subtr.figures.style import colour_of


def with_intervals(axis: Axes, x, rows: pd.DataFrame, system: str, name: str, joined: bool) -> None:
    """Rows of a summary at the places ``x``, in the colour of the system; a line if ``joined``."""
    value = rows["value"].to_numpy(float)
    low, high = (rows[end].fillna(rows["value"]).to_numpy(float) for end in ("low", "high"))
    axis.errorbar(
        x,
        value,
        # The interval of a mean over seeds need not hold it, to the last digit.
        yerr=np.maximum([value - low, high - value], 0),
        color=colour_of(system),
        label=name,
        marker="o",
        markersize=5,
        capsize=2,
        elinewidth=1.2,
        linestyle="-" if joined else "none",
    )
