"""A study whose BOLD was deconvolved, to be learned and predicted as activity of the same TR.

What is predicted of activity goes through the response again, so that it is scored against the BOLD
that was measured: deconvolved BOLD is an estimate, and no score should depend on how it was made.
"""

import warnings
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int
from pydantic import Field

from subtr.bold.deconvolution import Deconvolution
from subtr.bold.hrf import convolve_hrf
from subtr.held_out_bold import cleaned_bold
from subtr.params import SettingsError, Strict, StudyWarning
from subtr.study import Fold, Study


class DeconvolutionParams(Strict):
    """How activity is estimated from BOLD, see `subtr.bold.deconvolution.Deconvolution`.

    ``noise_to_signal``: None estimates it from the training volumes. ``response``: that is undone.
    """

    method: Literal["wiener", "sparse"] = "wiener"
    noise_to_signal: float | None = Field(None, gt=0, allow_inf_nan=False)
    response: Literal["spm", "glover"] = "spm"


def deconvolved_study(fold: Fold) -> Study:
    """The study with activity in the place of BOLD, for this fold's split alone.

    BOLD is cleaned by what its training TRs say, and training, validation and test are deconvolved
    apart, run by run, so that this is as free of leaks as the split. ``hrf_applied`` is set, so a
    readout takes the response "applied" and refuses any other.

    Arguments
        fold: its ``params`` are `BoldParams`, whose ``deconvolve`` says how.

    Returns
        Activity in units of the cleaned BOLD; NaN in the gaps of the split, and in the last TRs of
        each stretch, of which not enough is known.

    Raises
        SettingsError: see `Deconvolution`; or ``hrf_applied`` is set already.
    """
    study, split, how = fold.study, fold.split, fold.params.deconvolve
    if study.hrf_applied:
        raise SettingsError(
            f"{study.name}: its BOLD already lies beside its stimulus (hrf_applied), so there is "
            "no response left to deconvolve. Use it as it is."
        )
    parts = [split.train, split.validation, split.test]
    subjects, _ = cleaned_bold(study, split, fold.drift_order)
    activity = {}
    for subject, bold in subjects.items():
        tr_s = study.clock.tr_s
        undone = Deconvolution(tr_s, how.method, how.noise_to_signal, how.response)
        undone.fit(bold, split.train, study.run_of_tr)
        activity[subject] = undone.transform(bold, parts, study.run_of_tr)
    note = (
        f"BOLD was deconvolved ({how.method}, {how.response} response) for one split; its gaps are "
        "NaN."
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StudyWarning)  # the gaps are meant to be NaN
        return replace(
            study,
            bold=activity,
            confounds={},
            hrf_applied=True,
            bold_lag_s=0.0,
            notes=(*study.notes, note),
        )


def bold_of_activity(
    activity: Float[np.ndarray, "tr parcel"],
    tr_s: float | int,
    response: str,
    run_of_tr: Int[np.ndarray, " tr"],
) -> Float64[np.ndarray, "tr parcel"]:
    """BOLD that activity leads to, run by run; there was none before a run began."""
    bold = np.empty(activity.shape)
    for run in np.unique(run_of_tr):
        of_run = run_of_tr == run
        bold[of_run] = convolve_hrf(activity[of_run], tr_s, tr_s, response)
    return bold
