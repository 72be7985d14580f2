"""Planted peak times of the response, found again: by a readout alone, and by a whole network."""

import numpy as np
import pandas as pd
import pytest
from planted_responses import PEAKS_S, lowest_error_s, respond, responding_study
from test_peak_times import fitted_peaks_s

from subtr.bold_params import BoldParams
from subtr.bold_training import fit_fold
from subtr.params import params_hash, validate
from subtr.peak_times import peak_times_s
from subtr.splits import Split
from subtr.study import Fold

SEEDS = (0, 1, 2)
N_TRS, SNR, N_PARCELS = 600, 1.0, 8
PEAKS_OF_PARCELS_S = np.repeat(PEAKS_S, N_PARCELS)
NETWORK = {
    "stream": {
        "encoder": {"name": "linear", "hidden_dim": 4},
        "aggregator": {"name": "kernels", "n_kernels": 2},
    },
    "training": {"max_epochs": 100, "check_every_epochs": 10, "learning_rate": 0.01},
}

pytestmark = pytest.mark.verify


def kept(measured, fit, response, tr_s, seed, found_s, n_trs=N_TRS):
    """A row a parcel, beside the error of the best estimate; gives the errors (peak, parcel)."""
    for number, (peak_s, of_parcel_s) in enumerate(zip(PEAKS_OF_PARCELS_S, found_s, strict=True)):
        row = {"fit": fit, "response": response, "tr_s": tr_s, "snr": SNR, "n_trs": n_trs}
        row |= {"seed": seed, "parcel": number, "peak_s": peak_s, "found_s": of_parcel_s}
        measured.append(row | {"bound_s": lowest_error_s(peak_s, tr_s, SNR, n_trs)})
    return (found_s - PEAKS_OF_PARCELS_S).reshape(len(PEAKS_S), N_PARCELS)


@pytest.mark.parametrize(("response", "tr_s"), [("kernel", 1.5), ("kernel", 2.0), ("fir", 1.5)])
def test_a_readout_finds_planted_peaks(measured, response, tr_s):
    """Activity given: what is left is noise. White activity; noise as strong as the response."""
    errors_s = []
    for seed in SEEDS:
        rng = np.random.default_rng([seed, 3])
        activity = rng.normal(size=N_TRS)
        bold = respond(activity, PEAKS_OF_PARCELS_S, tr_s, SNR, rng)
        found_s = fitted_peaks_s(bold, activity, tr_s, response, seed=seed)
        errors_s.append(kept(measured, "readout", response, tr_s, seed, found_s))
    if response == "kernel":
        errors_s = np.concatenate(errors_s, axis=1)
        assert (np.sqrt((errors_s**2).mean(1)) < 0.3).all()
        assert (np.abs(errors_s.mean(1)) < 0.1).all()


def test_a_network_finds_planted_peaks_without_being_told_the_activity(measured, tmp_path):
    """Vector, heads and response are learned together from sound; 500 of 600 TRs are trained on."""
    split = Split(np.arange(500), np.arange(516, 560), np.arange(576, 600))
    settings = NETWORK | {"readout": {"vector_dim": 8, "response": "kernel"}}
    params, errors_s = validate(BoldParams, settings, "system.yaml"), []
    for seed in SEEDS:
        study = responding_study(PEAKS_OF_PARCELS_S, N_TRS, 1.5, SNR, seed)
        place = tmp_path / f"{seed}_{params_hash(params)}"
        predictor = fit_fold(
            Fold(study, split, params, place, seed, f"network, seed {seed}", drift_order=1)
        )[0]
        found_s = peak_times_s(predictor)[0]
        more = (seed, found_s, len(split.train))
        errors_s.append(kept(measured, "network", "kernel", 1.5, *more))
    errors_s = np.abs(np.concatenate(errors_s, axis=1))
    assert (np.median(errors_s, axis=1) < 0.3).all()
    # A head that starts with the wrong sign may hold a response where the undershoot fits.
    assert (errors_s > 1).mean() < 0.05


def test_three_numbers_find_the_peak_better_than_a_weight_a_lag(measured):
    table = pd.DataFrame(measured).query("fit == 'readout' and tr_s == 1.5")
    error_s = (table["found_s"] - table["peak_s"]).abs().groupby(table["response"]).mean()
    assert error_s["kernel"] < error_s["fir"]
