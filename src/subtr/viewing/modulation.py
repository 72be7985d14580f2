"""Figures of modulation: how much of it there is at each rate, and what systems do to it."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from subtr.metrics.temporal import ModulationTransfer, averaging_gain
from subtr.viewing.style import GREY, colour_of, label_ends, panels, some, styled

_OCTAVES_HZ = (0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)


@styled
def modulation_spectra(
    spectra: Mapping[str, tuple[Float[np.ndarray, " rate"], Float[np.ndarray, " rate"]]],
    tr_s: float,
    frames_per_tr: int,
) -> Figure:
    """Amplitude of modulation by rate, and below it the gain by which averaging scales it.

    Arguments
        spectra: name -> rates in hertz, amplitudes (see ``metrics.modulation_spectrum``).
        tr_s, frames_per_tr: of the averaging; 2, 4 and 8 Hz are marked, and one cycle a TR.
    """
    figure, axes = panels(2, height_in=5.2, sharex=True, gridspec_kw={"height_ratios": [3, 2]})
    upper, lower = axes[:, 0]
    ends = []
    for name, (rates_hz, amplitude) in spectra.items():
        upper.plot(rates_hz, amplitude, color=colour_of(name), label=name)
        ends.append((float(amplitude[-1]), name, colour_of(name)))
    # Averaging may leave exactly nothing; the scale is that of what there is to see.
    largest = max(amplitude.max() for _, amplitude in spectra.values())
    upper.set(xscale="log", yscale="log", ylim=(largest * 3e-4, largest * 1.6))
    upper.set_ylabel("modulation amplitude\n(log-mel units)")
    low_hz = min(rates_hz[0] for rates_hz, _ in spectra.values())
    high_hz = frames_per_tr / tr_s / 2
    rates_hz = np.geomspace(low_hz, high_hz, 2000)
    gain = averaging_gain(rates_hz, tr_s, frames_per_tr)
    lower.plot(rates_hz, gain, color=colour_of("averaging"))
    lower.set(ylabel="gain of averaging", xlabel="modulation rate (Hz)", ylim=(0, 1.03))
    for axis in (upper, lower):
        for rate_hz in (2, 4, 8):
            axis.axvline(rate_hz, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
        axis.axvline(1 / tr_s, color=GREY, linewidth=0.8, zorder=0)
    lower.text(1 / tr_s * 1.04, 0.9, f"one cycle a TR ({1 / tr_s:.2f} Hz)", color=GREY)
    _octaves(lower, low_hz, high_hz)
    lower.set_xlim(low_hz, high_hz)
    low_end = upper.get_ylim()[0] * 1.4
    label_ends(upper, [(max(value, low_end), name, colour) for value, name, colour in ends])
    return figure


@styled
def modulation_transfer(
    transfers: Mapping[str, ModulationTransfer], tr_s: float, frames_per_tr: int
) -> Figure:
    """What systems do to modulation of each rate, in size and in phase.

    Left the size of the response, whatever it looks like; right the part of it in phase with the
    drive, so what would be recognised. Dashed: averaging by its formula, |sinc| and its square.

    Arguments
        transfers: system -> gains by rate.
        tr_s, frames_per_tr: of the averaging.
    """
    figure, axes = panels(1, 2, height_in=3.6, sharex=True, sharey=True)
    left, right = axes[0]
    low_hz = min(transfer.rates_hz.min() for transfer in transfers.values())
    high_hz = max(transfer.rates_hz.max() for transfer in transfers.values())
    fine_hz = np.geomspace(low_hz, high_hz, 2000)
    formula = averaging_gain(fine_hz, tr_s, frames_per_tr)
    for axis, power in ((left, 1), (right, 2)):
        axis.plot(fine_hz, formula**power, "--", color=GREY, linewidth=1, zorder=1)
        axis.set_xlabel("modulation rate (Hz)")
    for name, transfer in transfers.items():
        style = {"color": colour_of(name), "marker": "o", "markersize": 3.5, "label": name}
        left.plot(transfer.rates_hz, transfer.gain, **style)
        right.plot(transfer.rates_hz, transfer.faithful_gain, **style)
    left.set(title="Size of the response", ylabel="gain (1 is perfect)")
    right.set_title("Part of it in phase")
    _octaves(left, low_hz, high_hz)
    ends = [
        (float(transfer.faithful_gain[-1]), name, colour_of(name))
        for name, transfer in transfers.items()
    ]
    label_ends(right, [*ends, (float(formula[-1] ** 2), "averaging, formula", GREY)])
    return figure


@styled
def transfer_by_training(
    transfers: pd.DataFrame,
    tr_s: float | int,
    frames_per_tr: int,
    column: Literal["in_phase_gain", "gain"] = "in_phase_gain",
) -> Figure:
    """What training does to the modulation that each aggregator passes: a panel an aggregator.

    Grey before training, in colour after; dashed, averaging by its formula.

    Arguments
        transfers: columns aggregator, when ("before", "after"), rate_hz, ``column``, and start
            where some begin from "pca", which then have a panel of their own.
        tr_s, frames_per_tr: of the averaging.
        column: "gain", the size of the response; "in_phase_gain", the part in phase with the drive.

    Raises
        SettingsError: no rows.
    """
    transfers = some(transfers, "modulation transfer")
    starts = transfers.get("start", "random")
    cases = list(transfers.assign(start=starts).groupby(["aggregator", "start"], sort=False))
    n_columns = min(4, len(cases))
    n_rows = -(-len(cases) // n_columns)
    shared = {"sharex": True, "sharey": True}
    figure, axes = panels(n_rows, n_columns, height_in=0.7 + 1.9 * n_rows, **shared)
    low_hz, high_hz = transfers["rate_hz"].min(), transfers["rate_hz"].max()
    fine_hz = np.geomspace(low_hz, high_hz, 1000)
    formula = averaging_gain(fine_hz, tr_s, frames_per_tr) ** (1 if column == "gain" else 2)
    for axis, ((name, start), rows) in zip(axes.ravel(), cases, strict=False):
        axis.plot(fine_hz, formula, "--", color="#444444", linewidth=1, label="averaging, formula")
        axis.set_title(f"{name.replace('_', ' ')}{', from PCA' if start == 'pca' else ''}")
        for when, colour in (("before", "#AAAAAA"), ("after", colour_of("tier 1"))):
            line = rows[rows["when"] == when].sort_values("rate_hz")
            style = {"color": colour, "marker": "o", "markersize": 3, "label": f"{when} training"}
            axis.plot(line["rate_hz"], line[column], **style)
        _octaves(axis, low_hz, high_hz)
        axis.set_xticks(axis.get_xticks()[1::2])
    for axis in axes.ravel()[len(cases) :]:
        axis.set_visible(False)
    figure.supxlabel("modulation rate (Hz)", fontsize=10)
    said = {"gain": "size of the response", "in_phase_gain": "part of it in phase with the drive"}
    figure.supylabel(f"gain: {said[column]}", fontsize=10)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside upper left", ncols=3)
    return figure


def _octaves(axis: Axes, low_hz: float, high_hz: float) -> None:
    axis.set_xscale("log", base=2)
    ticks = [rate for rate in _OCTAVES_HZ if low_hz <= rate <= high_hz]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
