"""Sliders for TR, SNR, width of the response and parcels, above the rates that can be recovered."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

from subtr.experiments.identifiability import KINDS, Scan, expected_r, recover, simulate
from subtr.figures.identifiability import recoverable_rates
from subtr.viewing.explorer import live_widgets

_N_RATES = 60
_PARCELS = (1, 2, 4, 8, 16, 32, 64, 128)


def rate_curves(
    scan: Scan, rates_hz: Sequence[float | int], measured: pd.DataFrame | None = None
) -> Figure:
    """r against rate by formula, and as measured where that is given.

    Arguments
        rates_hz: first to last are drawn.
        measured: as in ``figures.recoverable_rates``.
    """
    dense_hz = np.geomspace(min(rates_hz), max(rates_hz), _N_RATES)
    formula = pd.DataFrame(
        [(kind, rate, expected_r(scan, rate, kind)) for kind in KINDS for rate in dense_hz],
        columns=["kind", "rate_hz", "expected_r"],
    )
    if measured is None:
        measured = pd.DataFrame(columns=["kind", "rate_hz", "r", "floor"])
    return recoverable_rates(measured, formula, scan.tr_s, str(scan))


def simulated_rates(
    scan: Scan, rates_hz: Sequence[float | int], n_folds: int, seed: int = 0
) -> pd.DataFrame:
    """r and floor of one simulated scan a rate and kind."""
    rows = []
    for kind in KINDS:
        for rate_hz in rates_hz:
            found = recover(simulate(scan, rate_hz, kind, seed), scan.tr_s, n_folds)
            rows.append((kind, rate_hz, found.r, found.floor))
    return pd.DataFrame(rows, columns=["kind", "rate_hz", "r", "floor"])


def explore_rates(
    scan: Scan, rates_hz: Sequence[float | int], measured: pd.DataFrame, n_folds: int
) -> None:
    """Sliders above the curves, and a button that simulates; a fixed figure where none can live.

    Arguments
        scan: where the sliders begin.
        measured: of ``identifiability.over_seeds``, at ``scan``; shown until a slider moves.
        n_folds: test blocks of what the button simulates.
    """
    widgets, why = live_widgets()
    if widgets is None:
        print(f"A fixed setting, for {why}.")
        display(rate_curves(scan, rates_hz, measured))
        return
    parcels = sorted({*_PARCELS, scan.n_parcels})
    sliders = {
        "tr_s": widgets.FloatSlider(
            value=scan.tr_s, min=0.5, max=4, step=0.1, description="TR (s)"
        ),
        "snr": widgets.FloatLogSlider(value=max(scan.snr, 0.01), min=-2, max=1, description="SNR"),
        "hrf_fwhm_s": widgets.FloatSlider(
            value=scan.hrf_fwhm_s,
            min=0.4 * scan.hrf_peak_s,
            max=1.7 * scan.hrf_peak_s,
            step=0.1,
            description="HRF width (s)",
        ),
        "n_parcels": widgets.SelectionSlider(
            value=scan.n_parcels, options=parcels, description="parcels"
        ),
    }
    button = widgets.Button(description="Simulate", tooltip="one scan of every rate, some seconds")
    output = widgets.Output()

    def draw(points=None):
        chosen = scan.having(**{name: slider.value for name, slider in sliders.items()})
        if points is None:
            points = simulated_rates(chosen, rates_hz, n_folds)
        output.clear_output(wait=True)
        with output:
            display(rate_curves(chosen, rates_hz, points if len(points) else None))

    for slider in sliders.values():
        slider.continuous_update = False
        slider.observe(lambda _: draw(measured.iloc[:0]), names="value")
    button.on_click(lambda _: draw())
    boxes = list(sliders.values())
    display(widgets.VBox([widgets.HBox(boxes[:2]), widgets.HBox([*boxes[2:], button]), output]))
    draw(measured)
