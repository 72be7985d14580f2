"""When each parcel answers: the peak times of a trained predictor's responses."""

import numpy as np
import pandas as pd
from jaxtyping import Float64

from subtr.models import BoldPredictor
from subtr.params import SettingsError


def peak_times_s(predictor: BoldPredictor) -> Float64[np.ndarray, "member parcel"]:
    """Seconds from activity to the largest response in BOLD, by member and parcel.

    Of a response that does not learn it is the same everywhere; "kernel" tells it best, see
    `subtr.double_gamma_layer`.
    """
    return np.stack([readout.hrf.peak_times_s() for readout in predictor.readouts])


def peak_time_map(predictor: BoldPredictor, parcels: pd.DataFrame) -> pd.DataFrame:
    """The table of parcels with a column ``peak_s``, and ``low`` and ``high`` over members.

    Arguments
        parcels: of the study, index names, column ``tuning``.

    Raises
        SettingsError: the predictor has another number of parcels.
    """
    times_s = peak_times_s(predictor)
    if times_s.shape[1] != len(parcels):
        raise SettingsError(
            f"the predictor has {times_s.shape[1]} parcels, the table {len(parcels)}: give the "
            "parcels of the study that it was trained on."
        )
    columns = {"peak_s": times_s.mean(0), "low": times_s.min(0), "high": times_s.max(0)}
    return parcels.assign(**columns)
