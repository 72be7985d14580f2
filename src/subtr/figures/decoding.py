"""Figures of what is decoded from BOLD: how well segments are told, and what each region gives."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from subtr.experiments.bold_scores import IDENTIFIED
from subtr.experiments.decoding import PREFIX
from subtr.experiments.results import summary
from subtr.figures.style import GREY, colour_of, panels, some, styled

_CHANCE = {"pairwise": 0.5}


@styled
def identification(results: pd.DataFrame, from_bold: bool = False) -> Figure:
    """Pairwise (left) and top-1 (right) identification of held-out segments, a row a system.

    Points with intervals; dashed: chance; a grey tick each: what 95 % of shifts stay below, and,
    where there is one, the ceiling.

    Arguments
        results: tidy rows, see ``results.COLUMNS``.
        from_bold: the stimulus decoded from BOLD; else BOLD predicted from the stimulus.

    Raises
        SettingsError: nothing was identified.
    """
    prefix = PREFIX if from_bold else ""
    names = {name: prefix + metric for name, metric in IDENTIFIED.items()}
    rows = results[results["metric"].isin(names.values()) & (results["group"] == "")]
    rows = summary(some(rows, "identification of segments"))
    labels = rows["system"] + np.where(from_bold, ", " + rows["modality"], "")
    rows = rows.assign(label=labels)
    order = list(dict.fromkeys(rows["label"]))
    figure, axes = panels(1, 2, height_in=1.3 + 0.34 * len(order), sharey=True)
    for axis, (name, metric) in zip(axes[0], names.items(), strict=True):
        part = rows[rows["metric"] == metric]
        _points(axis, part, order)
        chance = results[results["metric"] == f"{metric} chance"]["value"].mean()
        axis.axvline(_CHANCE.get(name, chance), color="black", linestyle="--", linewidth=1)
        axis.set(title=f"{IDENTIFIED[name]} (dashed: chance)", xlabel="share of segments")
        axis.set_xlim(0, 1.02)
    axes[0, 0].set_xlabel("share of distractors that resemble it less")
    return figure


@styled
def lesions(rows: pd.DataFrame) -> Figure:
    """What identification loses without each region (left), and keeps by it alone (right).

    Arguments
        rows: see `subtr.experiments.decoding.lesions`.

    Raises
        SettingsError: no region was silenced.
    """
    metric = f"{PREFIX}identification (pairwise)"
    titles = {"lost without": "lost without the region", "by it alone": "by the region alone"}
    wanted = [f"{metric} {name}" for name in titles]
    found = summary(some(rows[rows["metric"].isin(wanted)], "lesions of regions"))
    found = found.assign(label=found["group"])
    order = list(dict.fromkeys(found["label"]))
    figure, axes = panels(1, 2, height_in=1.2 + 0.3 * len(order), sharey=True)
    for axis, (name, title) in zip(axes[0], titles.items(), strict=True):
        _points(axis, found[found["metric"] == f"{metric} {name}"].assign(floor=np.nan), order)
        at = 0.0 if name == "lost without" else 0.5
        axis.axvline(at, color="black", linestyle="--", linewidth=1)
        axis.set(title=title, xlabel="pairwise identification")
    return figure


def _points(axis: Axes, rows: pd.DataFrame, order: list[str]) -> None:
    for row in rows.to_dict("records"):
        place = order.index(row["label"])
        low, high = (row[end] if np.isfinite(row[end]) else row["value"] for end in ("low", "high"))
        ends = np.maximum([[row["value"] - low], [high - row["value"]]], 0)
        colour = colour_of(row["system"])
        axis.errorbar(row["value"], place, xerr=ends, color=colour, marker="o", markersize=5)
        for bound in ("floor", "ceiling"):
            if np.isfinite(row[bound]):
                axis.plot([row[bound]] * 2, [place - 0.3, place + 0.3], color=GREY, linewidth=1.2)
    axis.set_yticks(range(len(order)), order)
    axis.set_ylim(len(order) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
