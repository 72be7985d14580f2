"""Whether BOLD comes as late after its stimulus as the study says: a scan of lags, run by run."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from subtr.metrics import check_lag, lag_scan
from subtr.ridge_prediction import ridge_features
from subtr.scoring import Row
from subtr.study import Study

LONGEST_S = 16.0
# Of shorter runs there are too few lags beside those scanned to say what chance gives.
LEAST_RUN_S = 4 * LONGEST_S


def lag_rows(study: Study, **labels: Any) -> list[Row]:
    """Two rows for each run: at which lag the BOLD follows the stimulus best, and how well then.

    Of all features of one number a TR that ridge regression is given, less those that went through
    an HRF already, the one counts that the BOLD follows best at its own best lag: by the root of
    the mean over parcels of squared r, negative r as 0, so that a few parcels that answer are not
    drowned by many that do not. Where this is beyond its floor, which 95 % of scans stay below if
    the feature is moved along in time, a lag more than 3 s from ``study.bold_lag_s`` gets a
    UserWarning that names the run. What stays below its floor says nothing of the lag.

    Metrics: "lag of the peak_s", beside the expected lag as its ceiling; "r at that lag", with its
    floor. ``system``, unless given: "lag scan, " and the feature. ``group``: "run 0", "run 1", ...,
    or empty for a study of one run. No rows without BOLD or features, nor of a run shorter than
    ``LEAST_RUN_S``.
    """
    features = {
        name: of[:, 0]
        for name, of in ridge_features(study).items()
        if of.shape[1] == 1 and name not in study.convolved
    }
    if not study.bold or not features:
        return []
    bold, runs, rows = study.group_mean(), np.unique(study.run_of_tr), []
    for run in runs:
        (trs,) = np.nonzero(study.run_of_tr == run)
        if len(trs) * study.clock.tr_s < LEAST_RUN_S:
            continue
        group = f"run {run}" if len(runs) > 1 else ""
        of_run = {name: of[trs] for name, of in features.items()}
        rows += [
            {"study": study.name, "modality": "bold", "group": group} | row | labels
            for row in _of_run(study, group, of_run, bold[trs])
        ]
    return rows


def _of_run(study, group, features, bold) -> list[Row]:
    tr_s, best = study.clock.tr_s, None
    for name, feature in features.items():
        lags_s, r = lag_scan(feature, bold, tr_s, LONGEST_S)
        followed = _followed(r)
        if followed.max() > (0 if best is None else best[2].max()):
            best = (name, lags_s, followed)
    if best is None:
        return []
    name, lags_s, followed = best
    floor = _floor(features[name], bold, np.rint(lags_s / tr_s).astype(int))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        peak_s = check_lag(lags_s, followed[:, None], study.bold_lag_s)
    if followed.max() > floor:
        for warning in caught:
            said = ", ".join(part for part in (study.name, group, name) if part)
            warnings.warn(f"{said}: {warning.message}", UserWarning, stacklevel=3)
    system = {"system": f"lag scan, {name}"}
    return [
        system | {"metric": "lag of the peak_s", "value": peak_s, "ceiling": study.bold_lag_s},
        system | {"metric": "r at that lag", "value": float(followed.max()), "floor": floor},
    ]


def _followed(r: Float[np.ndarray, "*lag parcel"]) -> Float64[np.ndarray, "*lag"]:
    """How well parcels follow, together; 0 where none is known."""
    return np.sqrt((np.maximum(np.nan_to_num(r), 0.0) ** 2).mean(axis=-1))


def _floor(feature: Float[np.ndarray, " tr"], bold: Float[np.ndarray, "tr parcel"], lags) -> float:
    """95th percentile of the best of a scan, of the feature moved in time by more than is scanned.

    All circular shifts at once, as a product of spectra.
    """
    x, y = _standardised(feature[:, None]), _standardised(bold)
    n_trs = len(x)
    spectra = np.conj(np.fft.rfft(x, axis=0)) * np.fft.rfft(y, axis=0)
    followed = _followed(np.fft.irfft(spectra, n_trs, axis=0) / n_trs)
    shifts = np.arange(len(lags), n_trs - len(lags))
    return float(np.percentile(followed[(shifts[:, None] + lags) % n_trs].max(axis=1), 95))


def _standardised(values: np.ndarray) -> np.ndarray:
    """Each column to mean 0 and deviation 1, and what is unknown to 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        spread = np.nanstd(values, axis=0)
        scaled = (values - np.nanmean(values, axis=0)) / np.where(spread > 0, spread, np.nan)
    return np.nan_to_num(scaled)
