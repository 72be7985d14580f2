"""Systems side by side, and what moves in their pictures."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from matplotlib.figure import Figure

from subtr.experiments.results import summary
from subtr.figures.stimulus import picture_strips
from subtr.figures.style import GREY, colour_of, panels, some, styled


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
