"""What judges say against the numbers that a TR may carry."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from subtr.experiments.results import summary
from subtr.figures.intervals import with_intervals
from subtr.figures.style import GREY, colour_of, label_ends, panels, some, styled

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
