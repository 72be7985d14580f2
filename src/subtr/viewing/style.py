""""""

import functools
import re
import zlib
from collections.abc import Callable, Iterable
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from subtr.params import SettingsError

WIDTH_IN = 9.0

GREY = "#666666"

_LOOK = {
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "lines.linewidth": 1.8,
    "legend.frameon": False,
}

# Okabe and Ito 2008, told apart by readers with any colour vision; yellow is too pale for lines.
_COLOURS = {
    "original": "#000000",
    "roundtrip": GREY,
    "averaging": "#E69F00",
    "pca": "#0072B2",
    "tier1": "#D55E00",
    "tier2": "#009E73",
    "tier3": "#CC79A7",
    "firridge": "#56B4E9",
    "bandedridge": "#009E73",
    # Of sound alone, and shown beside tier 1.
    "tier1heard": "#117733",
    "tier1morespeech": "#999933",
    # Baselines of BOLD stand side by side, so no two of them may share a colour.
    "ridgemeanmel": "#882255",
    "ridgesoundpower": "#AA4499",
    "ridgesoundpowersupplied": "#117733",
    "ridgeonsetflux": "#44AA99",
    "ridgewordrate": "#332288",
    "nearest": "#999999",
    "lanczos": "#AA8800",
}

_ALIASES = {
    "mean": "averaging",
    "average": "averaging",
    "averaged": "averaging",
    "baseline": "averaging",
    "baselineaveraging": "averaging",
    "averagingbaseline": "averaging",
    "ceiling": "roundtrip",
    "roundtripceiling": "roundtrip",
    "pcaacrosstime": "pca",
    "multiscale": "tier1",
    "tier1multiscale": "tier1",
    "ridge": "firridge",
}

# Tol's muted scheme, for systems without a fixed place.
_FURTHER = ("#332288", "#117733", "#882255", "#44AA99", "#999933", "#AA4499", "#CC6677", "#6699CC")


def colour_of(system: str) -> str:
    """The colour of a system, the same in all figures and sessions, for any colour vision.

    Well-known systems have their own; others one of eight by their name, so that two of them may
    share a colour, and labels still tell them apart. Case, spaces and signs do not matter, nor
    does a size behind the name, as in "PCA 256".
    """
    name = re.sub(r"[ _]\d{2,}$", "", system.lower())
    name = re.sub(r"[^a-z0-9]", "", name)
    name = _ALIASES.get(name, name)
    return _COLOURS.get(name) or _FURTHER[zlib.crc32(name.encode()) % len(_FURTHER)]


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draws in the common look."""

    @functools.wraps(draw)
    def wrapper(*arguments, **options):
        with plt.rc_context(_LOOK):
            return draw(*arguments, **options)

    return wrapper


def panels(n_rows: int = 1, n_columns: int = 1, *, height_in: float, **options):
    """A figure of notebook width, and its axes as a 2D array.

    It is closed for pyplot: a notebook shows it where it is returned, and only there.
    """
    options = {
        "layout": "constrained",
        "squeeze": False,
        "figsize": (WIDTH_IN, height_in),
    } | options
    figure, axes = plt.subplots(n_rows, n_columns, **options)
    plt.close(figure)
    return figure, axes


def label_ends(axes: Axes, ends: Iterable[tuple[float, str, str]], gap: float = 0.065) -> None:
    """Names right of the axes at the height of (value, name, colour), moved apart where needed.

    Call it last, for it freezes the limits.
    """
    for height, name, colour in _apart(axes, list(ends), gap):
        axes.text(1.015, height, name, color=colour, transform=axes.transAxes, va="center")


def label_points(axes: Axes, points: Iterable[tuple[float, float, str, str]]) -> None:
    """Names right of points (x, value, name, colour), moved apart where several share an x."""
    points = list(points)
    for x in dict.fromkeys(point[0] for point in points):
        beside = [point[1:] for point in points if point[0] == x]
        for height, name, colour in _apart(axes, beside, 0.065):
            axes.annotate(
                name,
                (x, height),
                xycoords=("data", "axes fraction"),
                xytext=(9, 0),
                textcoords="offset points",
                color=colour,
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8},
            )


def _apart(axes: Axes, labels: list[tuple[float, str, str]], gap: float) -> list[list]:
    """Labels with heights in fractions of the axes, at least ``gap`` apart, none above the top."""
    axes.set_ylim(axes.get_ylim())
    placed = []
    for value, name, colour in labels:
        pixel = axes.transData.transform((axes.get_xlim()[1], value))
        placed.append([axes.transAxes.inverted().transform(pixel)[1], name, colour])
    placed.sort(key=lambda label: label[0])
    for low, high in pairwise(placed):
        high[0] = max(high[0], low[0] + gap)
    ceiling = 1.0
    for label in reversed(placed):
        label[0] = min(label[0], ceiling)
        ceiling = label[0] - gap
    return placed


def some(rows, what: str):
    """The rows, or an error that says which scores a figure lacks.

    Raises
        SettingsError: there are none.
    """
    if len(rows) == 0:
        raise SettingsError(
            f"The results hold no {what}: run the systems that are scored so, or draw another "
            "figure."
        )
    return rows


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
