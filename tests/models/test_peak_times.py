"""A learned kernel finds the peak times that were planted."""

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.haemodynamics import fitted_peaks_s
from benchmarks.planted import PEAKS_S, lowest_error_s, respond, responding_study
from subtr.datasets.study import Fold
from subtr.models.encoding_model import BoldPredictor, ReadoutParams, peak_time_map, peak_times_s
from subtr.models.stream import StreamParams
from subtr.params import SettingsError, validate
from subtr.timeline import Split
from subtr.training.encoding_models import fit_fold
from subtr.training.systems import BoldParams


def test_a_learned_kernel_recovers_planted_peaks_as_well_as_noise_allows():
    """SNR 1, 600 TRs; the error is that of the best possible estimate, below 0.3 s."""
    peaks_s, rng = np.repeat(PEAKS_S, 8), np.random.default_rng(0)
    activity = rng.normal(size=600)
    bold = respond(activity, peaks_s, 1.5, 1.0, rng)
    error_s = (fitted_peaks_s(bold, activity) - peaks_s).reshape(4, 8)
    root_mean_square_s = np.sqrt((error_s**2).mean(1))
    assert (root_mean_square_s < 0.3).all()
    assert np.abs(error_s).mean() < 0.2
    bound_s = np.array([lowest_error_s(peak_s, 1.5, 1.0, 600) for peak_s in PEAKS_S])
    assert np.mean(root_mean_square_s / bound_s) < 1.4
    # The canonical response would be wrong by as much as it differs.
    assert np.abs(5.0 - peaks_s).mean() > 3 * np.abs(error_s).mean()


def test_without_noise_the_peak_is_exact():
    rng = np.random.default_rng(1)
    activity = rng.normal(size=400)
    bold = respond(activity, PEAKS_S, 2.0, 1e6, rng)
    found_s = fitted_peaks_s(bold, activity, 2.0, n_steps=250)
    np.testing.assert_allclose(found_s, PEAKS_S, atol=0.05)


def test_a_trained_predictor_tells_its_peak_times_by_parcel(tmp_path):
    study = responding_study(PEAKS_S, n_trs=400, snr=10)
    settings = {
        "stream": {
            "encoder": {"name": "linear", "hidden_dim": 4},
            "aggregator": {"name": "kernels", "n_kernels": 2},
        },
        "readout": {"vector_dim": 8, "response": "kernel"},
        "training": {"max_epochs": 100, "check_every_epochs": 10, "learning_rate": 0.01},
    }
    params = validate(BoldParams, settings, "system.yaml")
    split = Split(np.arange(320), np.arange(336, 370), np.arange(386, 400))
    predictor = fit_fold(Fold(study, split, params, tmp_path, 0, "toy", drift_order=1)).predictor
    table = peak_time_map(predictor, study.parcels)
    assert list(table.index) == list(study.parcels.index)
    np.testing.assert_allclose(table["peak_s"], PEAKS_S, atol=0.4)
    with pytest.raises(SettingsError, match="has 4 parcels, the table 1"):
        peak_time_map(predictor, pd.DataFrame({"tuning": ["a"]}))


def test_members_tell_their_peak_times_apart():
    stream = StreamParams(encoder={"name": "linear"}, aggregator={"name": "mean"})
    readout = ReadoutParams(vector_dim=2, members=2, response={"name": "kernel"})
    model = BoldPredictor(3, 4, 1.5, ["a"], 3, stream, readout)
    with torch.no_grad():
        model.readouts[1].hrf.departure[2, 0] = 0.1
    found_s = peak_times_s(model)
    assert found_s.shape == (2, 3)
    np.testing.assert_allclose(found_s[0], 5.0, atol=0.06)
    assert found_s[1, 2] > found_s[1, 0] + 1
