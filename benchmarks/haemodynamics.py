"""Are planted peak times of the response found again, by a readout alone and by a whole network?

Data: simulated BOLD, noise as strong as the response; parcels of four peak times. About 5 minutes
on two cores. Expected: errors of a kernel of three numbers below 0.3 s, near the bound of any
estimate, and below those of a weight a lag; of a network, which is not told the activity, a median
below 0.3 s. A head that starts with the wrong sign may hold a response where the undershoot fits.
"""

from pathlib import Path

import numpy as np
import torch

from benchmarks.planted import PEAKS_S, lowest_error_s, respond, responding_study
from benchmarks.tables import Row
from subtr.datasets.study import Fold
from subtr.models.encoding_model import BoldReadout, peak_times_s
from subtr.params import params_hash, validate
from subtr.timeline import Split
from subtr.training.encoding_models import fit_fold
from subtr.training.losses import bold_loss
from subtr.training.systems import BoldParams

SEEDS = (0, 1, 2)
READOUTS = (("kernel", 1.5), ("kernel", 2.0), ("fir", 1.5))
N_TRS, SNR, N_PARCELS = 600, 1.0, 8
PEAKS_OF_PARCELS_S = np.repeat(PEAKS_S, N_PARCELS)
NETWORK = {
    "stream": {
        "encoder": {"name": "linear", "hidden_dim": 4},
        "aggregator": {"name": "kernels", "n_kernels": 2},
    },
    "training": {"max_epochs": 100, "check_every_epochs": 10, "learning_rate": 0.01},
}


def run(folder: Path, readouts=READOUTS, network=True, seeds=SEEDS) -> list[Row]:
    """A row a parcel and seed: its peak time, the one that is found, and the bound of its error."""
    rows = []
    for response, tr_s in readouts:
        for seed in seeds:
            rows += readout_rows(response, tr_s, seed)
    for seed in seeds if network else ():
        rows += network_rows(seed, folder / "haemodynamics")
    return rows


def readout_rows(response, tr_s, seed) -> list[Row]:
    """Activity given: what is left is noise. White activity; noise as strong as the response."""
    rng = np.random.default_rng([seed, 3])
    activity = rng.normal(size=N_TRS)
    bold = respond(activity, PEAKS_OF_PARCELS_S, tr_s, SNR, rng)
    found_s = fitted_peaks_s(bold, activity, tr_s, response, seed=seed)
    return rows_of("readout", response, tr_s, seed, found_s)


def network_rows(seed, folder) -> list[Row]:
    """Vector, heads and response are learned together from sound; 500 of 600 TRs are trained on."""
    split = Split(np.arange(500), np.arange(516, 560), np.arange(576, 600))
    settings = NETWORK | {"readout": {"vector_dim": 8, "response": "kernel"}}
    params = validate(BoldParams, settings, "system.yaml")
    study = responding_study(PEAKS_OF_PARCELS_S, N_TRS, 1.5, SNR, seed)
    place = folder / f"{seed}_{params_hash(params)}"
    predictor = fit_fold(
        Fold(study, split, params, place, seed, f"network, seed {seed}", drift_order=1)
    ).predictor
    found_s = peak_times_s(predictor)[0]
    return rows_of("network", "kernel", 1.5, seed, found_s, len(split.train))


def rows_of(fit, response, tr_s, seed, found_s, n_trs=N_TRS) -> list[Row]:
    rows = []
    for number, (peak_s, of_parcel_s) in enumerate(zip(PEAKS_OF_PARCELS_S, found_s, strict=True)):
        row = {"fit": fit, "response": response, "tr_s": tr_s, "snr": SNR, "n_trs": n_trs}
        row |= {"seed": seed, "parcel": number, "peak_s": peak_s, "found_s": of_parcel_s}
        rows.append(row | {"bound_s": lowest_error_s(peak_s, tr_s, SNR, n_trs)})
    return rows


def fitted_peaks_s(bold, activity, tr_s=1.5, response="kernel", n_steps=150, seed=0):
    """Peak times by gradient steps from the canonical response, activity given."""
    torch.manual_seed(seed)
    readout = BoldReadout(1, ["s1"], bold.shape[1], tr_s, response)
    given = torch.tensor(activity, dtype=torch.float32)[None, :, None]
    wanted = {"s1": torch.tensor(bold, dtype=torch.float32)[None]}
    optimiser = torch.optim.Adam(readout.parameters(), lr=3e-3)
    with torch.no_grad():
        readout.heads.shared.weight.fill_(1.0)
    for _ in range(n_steps):
        optimiser.zero_grad()
        bold_loss(readout(given), wanted)[0].backward()
        optimiser.step()
    return readout.hrf.peak_times_s()
