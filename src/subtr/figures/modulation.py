"""Figures of modulation: how much of it there is at each rate, and what systems do to it."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from subtr.figures.style import GREY, colour_of, label_ends, panels, styled
from subtr.metrics import ModulationTransfer, averaging_gain

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


def _octaves(axis: Axes, low_hz: float, high_hz: float) -> None:
    axis.set_xscale("log", base=2)
    ticks = [rate for rate in _OCTAVES_HZ if low_hz <= rate <= high_hz]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
