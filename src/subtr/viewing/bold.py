"""Figures of BOLD: encoding, decoding, haemodynamics, subjects."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from subtr.experiments.bold_scores import IDENTIFIED
from subtr.experiments.decoding import PREFIX
from subtr.experiments.results import summary
from subtr.metrics.bold import known_mean
from subtr.params import SettingsError
from subtr.viewing.scores import draw_within_tr_r2_by_floats
from subtr.viewing.style import GREY, WIDTH_IN, colour_of, label_ends, panels, some, styled


@styled
def bold_reliability(ceiling: Float[np.ndarray, " parcel"], parcels: pd.DataFrame) -> Figure:
    """The noise ceiling of every parcel, by tuning class, with the class's median.

    Arguments
        ceiling: highest r that a model can reach (parcel,), see ``metrics.split_half_ceiling``.
        parcels: index: names of parcels; column ``tuning``.

    Raises
        SettingsError: as many ceilings as parcels were expected.
    """
    if len(ceiling) != len(parcels):
        raise SettingsError(
            f"{len(ceiling)} ceilings for {len(parcels)} parcels: expected one each."
        )
    tuning = parcels["tuning"].astype(str).to_numpy()
    classes = list(dict.fromkeys(tuning))
    figure, axes = panels(height_in=1.0 + 0.32 * len(classes))
    axis = axes[0, 0]
    for place, name in enumerate(classes):
        values = ceiling[tuning == name]
        # Spread evenly, so that equal parcels do not hide one another.
        height = place + (np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else 0.0)
        axis.plot(values, np.broadcast_to(height, values.shape), "o", color=GREY, markersize=4)
        if len(values) > 1 and np.isfinite(values).any():
            median = np.nanmedian(values)
            axis.plot([median] * 2, [place - 0.32, place + 0.32], color="black", label="median")
    axis.set_yticks(range(len(classes)), classes)
    axis.set(ylim=(len(classes) - 0.4, -0.6), xlim=(0, 1))
    axis.set_xlabel("noise ceiling: highest r that a model can reach (bar: median of the class)")
    return figure


@styled
def lag_scan(
    lags_s: Float[np.ndarray, " lag"], r: Float[np.ndarray, "lag parcel"], expected_s: float | int
) -> Figure:
    """Correlation of a feature with BOLD that comes later: parcels thin, their mean thick.

    Arguments
        lags_s, r: see ``metrics.lag_scan``.
        expected_s: where the peak should be.
    """
    figure, axes = panels(height_in=3.4)
    axis = axes[0, 0]
    known = r[:, np.isfinite(r).any(0)]
    if not known.size:
        raise SettingsError("r has no finite value: expected at least one parcel with a lag scan.")
    axis.plot(lags_s, known, color="#BBBBBB", linewidth=0.8, zorder=1)
    mean = known_mean(known, axis=1)
    axis.plot(lags_s, mean, color="black", label="mean of parcels")
    peak = int(np.nanargmax(mean))
    axis.plot(lags_s[peak], mean[peak], "o", color=colour_of("tier 1"), zorder=3)
    said = f"the mean peaks at {lags_s[peak]:g} s"
    at_corner = {"transform": axis.transAxes, "ha": "right"}
    axis.text(0.99, 0.94, said, color=colour_of("tier 1"), **at_corner)
    axis.axvline(expected_s, color=GREY, linestyle=":", zorder=0)
    axis.text(expected_s, 0.02, f" expected: {expected_s:g} s", color=GREY, transform=_x_data(axis))
    axis.axvspan(lags_s[0], 0, color="#F2F2F2", zorder=-1)
    axis.text(lags_s[0], 0.94, "  BOLD before the stimulus", color=GREY, transform=_x_data(axis))
    axis.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    axis.set_xlim(lags_s[0], lags_s[-1])
    axis.set(xlabel="BOLD comes later by (s)", ylabel="r")
    return figure


@styled
def bold_by_group(results: pd.DataFrame, metric: str = "r / ceiling") -> Figure:
    """BOLD prediction by group (tuning class, region): a point a system, with its interval.

    The ceiling is a dashed line at 1 for "r / ceiling", else a dash per group where rows have it.

    Raises
        SettingsError: no row of this metric with a group.
    """
    n_groups = results.loc[_chosen(results, metric), "group"].nunique()
    n_systems = results.loc[_chosen(results, metric), "system"].nunique()
    height_in = 1.4 + n_groups * (0.18 + 0.13 * n_systems)
    figure, axes = panels(height_in=height_in, figsize=(WIDTH_IN, height_in))
    draw_bold_by_group(axes[0, 0], results, metric)
    return figure


def draw_bold_by_group(axis: Axes, results: pd.DataFrame, metric: str = "r / ceiling") -> None:
    """`bold_by_group` into axes that are there."""
    rows = summary(some(results[_chosen(results, metric)], f"BOLD {metric!r} by group"))
    groups = {name: place for place, name in enumerate(rows["group"].unique())}
    systems = list(rows.groupby(["system", "floats_per_tr"], dropna=False, sort=False))
    repeated = pd.Series([system for (system, _), _ in systems]).value_counts()
    for index, ((system, floats), part) in enumerate(systems):
        shift = 0.6 * ((index + 0.5) / len(systems) - 0.5)
        value = part["value"].to_numpy(float)
        low, high = (part[end].fillna(part["value"]).to_numpy(float) for end in ("low", "high"))
        axis.errorbar(
            value,
            part["group"].map(groups).to_numpy(float) + shift,
            xerr=np.maximum([value - low, high - value], 0),
            color=colour_of(system),
            label=f"{system}, {floats:g} floats" if repeated[system] > 1 else system,
            marker="o",
            markersize=4.5,
            elinewidth=1.2,
            linestyle="none",
        )
    if metric == "r / ceiling":
        axis.axvline(1, color=GREY, linestyle="--", linewidth=1, zorder=0)
        axis.text(1, -0.55, "ceiling", color=GREY, ha="center", va="bottom")
    else:
        for name, ceiling in rows.groupby("group")["ceiling"].mean().dropna().items():
            place = groups[name]
            axis.plot([ceiling] * 2, [place - 0.4, place + 0.4], "--", color=GREY, linewidth=1)
    for place in range(1, len(groups)):
        axis.axhline(place - 0.5, color="#DDDDDD", linewidth=0.6, zorder=0)
    axis.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    axis.set_yticks(list(groups.values()), list(groups))
    axis.set_ylim(len(groups) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    label = "r / noise ceiling" if metric == "r / ceiling" else metric
    axis.set_xlabel(f"BOLD in unseen time: {label}")
    below = -0.55 / (axis.figure.get_figheight() - 1.1)
    axis.legend(loc="upper left", bbox_to_anchor=(0, below), ncols=4, labelcolor="linecolor")


def _chosen(results: pd.DataFrame, metric: str) -> pd.Series:
    bold = (results["modality"] == "bold") & (results["group"] != "")
    return bold & (results["metric"] == metric)


def _x_data(axis: Axes):
    return axis.get_xaxis_transform()


COORDINATES = ("x_mm", "y_mm", "z_mm")


@styled
def parcel_gains(table: pd.DataFrame, system: str, baseline: str) -> Figure:
    """Left, r of every parcel with a system against r with its baseline; right, the gain by class.

    Arguments
        table: of `subtr.experiments.brain_encoding.parcel_gains`. Filled points: a gain whose
            interval lies above 0.
        system, baseline: their names.
    """
    table = some(table, "parcels with BOLD")
    classes = list(dict.fromkeys(table["tuning"]))
    figure, axes = panels(1, 2, height_in=1.4 + max(2.4, 0.3 * len(classes)))
    surely = (table["low"] > 0).to_numpy()
    left, right = axes[0]
    low = min(0.0, float(np.nanmin(table[["r", "r_baseline"]])))
    high = max(0.1, float(np.nanmax(table[["r", "r_baseline"]])))
    left.plot([low, high], [low, high], color=GREY, linewidth=0.8, linestyle="--")
    for chosen, face in ((surely, colour_of(system)), (~surely, "white")):
        left.plot(
            table["r_baseline"][chosen],
            table["r"][chosen],
            "o",
            color=colour_of(system),
            markerfacecolor=face,
            markersize=5,
        )
    left.set(xlabel=f"held-out r, {baseline}", ylabel=f"held-out r, {system}")
    left.set_title("filled: gain above 0 significantly")
    for place, name in enumerate(classes):
        rows = table[table["tuning"] == name]
        heights = place + np.linspace(-0.25, 0.25, len(rows)) if len(rows) > 1 else [place]
        for height, row in zip(heights, rows.itertuples(), strict=True):
            right.plot([row.low, row.high], [height] * 2, color=colour_of(system), linewidth=1)
            right.plot(row.gain, height, "o", color=colour_of(system), markersize=4)
    right.axvline(0, color=GREY, linewidth=0.8)
    right.set_yticks(range(len(classes)), classes)
    right.set(ylim=(len(classes) - 0.5, -0.5), xlabel=f"gain in r over {baseline} (95 %)")
    return figure


@styled
def timescales(table: pd.DataFrame) -> Figure:
    """Share of the whole score that is left when the stimulus changes no faster than a cut-off.

    Arguments
        table: of `subtr.experiments.brain_encoding.timescales`.
    """
    table = some(table, "scores by cut-off")
    figure, axes = panels(height_in=3.8)
    axis, ends = axes[0, 0], []
    finite = np.sort(table.loc[np.isfinite(table["cutoff_hz"]), "cutoff_hz"].unique())
    last = 2 * finite[-1] if len(finite) else 1.0
    for number, (name, rows) in enumerate(table.groupby("group", sort=False)):
        rows = rows.sort_values("cutoff_hz")
        x, colour = rows["cutoff_hz"].replace(np.inf, last), to_hex(colormaps["tab10"](number % 10))
        axis.plot(x, rows["r"], "o-", color=colour, markersize=4)
        ends.append((float(rows["r"].iloc[-1]), str(name), colour))
    axis.set_xscale("log")
    axis.set_xticks([*finite, last], [*(f"{hz:g}" for hz in finite), "all"])
    axis.minorticks_off()
    axis.axhline(0, color=GREY, linewidth=0.8)
    axis.set(xlabel="fastest modulation left in the stimulus (Hz)", ylabel="held-out r")
    label_ends(axis, ends)
    return figure


@styled
def peak_times(table: pd.DataFrame) -> Figure:
    """Seconds from activity to the largest BOLD of every parcel, by class or region.

    Arguments
        table: columns ``tuning``, ``peak_s``, ``low`` and ``high``, see
            `subtr.models.encoding_model`.
    """
    table = some(table, "parcels with a response")
    classes = list(dict.fromkeys(table["tuning"]))
    figure, axes = panels(height_in=1.2 + 0.36 * len(classes))
    axis = axes[0, 0]
    for place, name in enumerate(classes):
        rows = table[table["tuning"] == name]
        heights = place + np.linspace(-0.25, 0.25, len(rows)) if len(rows) > 1 else [place]
        for height, row in zip(heights, rows.itertuples(), strict=True):
            axis.plot([row.low, row.high], [height] * 2, color=GREY, linewidth=1)
            axis.plot(row.peak_s, height, "o", color="black", markersize=4)
    axis.set_yticks(range(len(classes)), classes)
    axis.set(ylim=(len(classes) - 0.5, -0.5), xlabel="peak of the response (s after activity)")
    axis.set_xlim(left=0)
    return figure


@styled
def variance_parts(table: pd.DataFrame) -> Figure:
    """R2 of held-out BOLD, by class, split among feature spaces; parts below 0 point left.

    Arguments
        table: of `subtr.experiments.brain_encoding.explained`.
    """
    wide = some(table, "parts of variance").pivot(index="group", columns="part", values="r2")
    wide = wide[list(dict.fromkeys(table["part"]))].loc[list(dict.fromkeys(table["group"]))]
    figure, axes = panels(height_in=1.6 + 0.34 * len(wide) + 0.2 * (len(wide.columns) // 3))
    axis = axes[0, 0]
    for sign in (1, -1):
        start = np.zeros(len(wide))
        for number, part in enumerate(wide):
            width = (wide[part] * sign).clip(lower=0).to_numpy() * sign
            label = part if sign > 0 else None
            colour = colormaps["tab20"](number)  # up to 15 parts, so no system's own colours
            axis.barh(range(len(wide)), width, left=start, color=colour, label=label)
            start = start + width
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(wide)), wide.index)
    axis.set(ylim=(len(wide) - 0.5, -0.5), xlabel="share of held-out variance (R2)")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncol=3, fontsize=8)
    return figure


@styled
def brain_map(parcels: pd.DataFrame, values: Float[np.ndarray, " parcel"], title: str) -> Figure:
    """Values of parcels in a glass brain, by nilearn.

    Arguments
        parcels: with columns ``x_mm``, ``y_mm`` and ``z_mm``, centres in MNI space.

    Raises
        SettingsError: the centres are not known.
    """
    missing = [column for column in COORDINATES if column not in parcels]
    if missing:
        raise SettingsError(
            f"the table of parcels has no column {missing[0]}: give the centre of each parcel in "
            "mm of MNI space to see them in a brain."
        )
    from nilearn import plotting  # takes seconds, and few figures need it

    figure, axes = panels(height_in=3.2, layout="none")
    known = np.isfinite(values) & parcels[list(COORDINATES)].notna().all(axis=1).to_numpy()
    largest = max(float(np.abs(values[known]).max(initial=0.0)), 1e-6)
    plotting.plot_markers(
        values[known],
        parcels.loc[known, list(COORDINATES)].to_numpy(float),
        node_cmap="RdBu_r",
        node_vmin=-largest,
        node_vmax=largest,
        title=title,
        figure=figure,
        axes=axes[0, 0],
    )
    figure.set_size_inches(WIDTH_IN, 3.2)
    return figure


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


@styled
def headline(results: pd.DataFrame, modality: str = "sound") -> Figure:
    """Left within-TR R² by floats per TR, right r / ceiling of BOLD by tuning class.

    Arguments
        results: tidy rows (see ``results.COLUMNS``) of both.

    Raises
        SettingsError: rows of one of them are missing.
    """
    figure, axes = panels(1, 2, height_in=4.4, figsize=(13.0, 4.4))
    left, right = axes[0]
    draw_within_tr_r2_by_floats(left, results, modality)
    left.set_title("What is kept of time within a TR")
    draw_bold_by_group(right, results)
    right.set_title("What it predicts of BOLD", pad=18)
    return figure
