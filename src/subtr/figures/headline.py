"""The one figure that sums up a study."""

import pandas as pd
from matplotlib.figure import Figure

from subtr.figures.bold import draw_bold_by_group
from subtr.figures.scores import draw_preservation_by_floats
from subtr.figures.style import panels, styled


@styled
def headline(results: pd.DataFrame, modality: str = "sound") -> Figure:
    """Left temporal preservation by floats per TR, right r / ceiling of BOLD by tuning class.

    Arguments
        results: tidy rows (see ``results.COLUMNS``) of both.

    Raises
        SettingsError: rows of one of them are missing.
    """
    figure, axes = panels(1, 2, height_in=4.4, figsize=(13.0, 4.4))
    left, right = axes[0]
    draw_preservation_by_floats(left, results, modality)
    left.set_title("What is kept of time within a TR")
    draw_bold_by_group(right, results)
    right.set_title("What it predicts of BOLD", pad=18)
    return figure
