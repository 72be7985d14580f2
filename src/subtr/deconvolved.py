"""A study whose BOLD was deconvolved, to be learned and predicted as activity of the same TR."""

import warnings
from dataclasses import replace

from subtr.bold.deconvolution import Deconvolution
from subtr.errors import SettingsError, StudyWarning
from subtr.held_out_bold import cleaned_bold
from subtr.splits import Split
from subtr.study import Study


def deconvolved_study(
    study: Study,
    split: Split,
    drift_order: int = 2,
    method: str = "wiener",
    noise_to_signal: float | int | None = None,
    model: str = "spm",
) -> Study:
    """The study with activity in the place of BOLD, for this split alone.

    BOLD is cleaned by what its training TRs say, and training, validation and test are deconvolved
    apart, run by run, so that this is as free of leaks as the split. ``hrf_applied`` is set, so a
    readout takes the response "applied" and refuses any other.

    Arguments
        drift_order: see `subtr.held_out_bold.cleaned_bold`.
        method, noise_to_signal, model: see `Deconvolution`.

    Returns
        Activity in units of the cleaned BOLD; NaN in the gaps of the split, and in the last TRs of
        each stretch, of which not enough is known.

    Raises
        SettingsError: see `Deconvolution`; or ``hrf_applied`` is set already.
    """
    if study.hrf_applied:
        raise SettingsError(
            f"{study.name}: its BOLD already lies beside its stimulus (hrf_applied), so there is "
            "no response left to deconvolve. Use it as it is."
        )
    parts = [split.train, split.validation, split.test]
    subjects, _ = cleaned_bold(study, split, drift_order)
    activity = {}
    for subject, bold in subjects.items():
        how = Deconvolution(study.clock.tr_s, method, noise_to_signal, model)
        how.fit(bold, split.train, study.run_of_tr)
        activity[subject] = how.transform(bold, parts, study.run_of_tr)
    note = f"BOLD was deconvolved ({method}, {model} response) for one split; its gaps are NaN."
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
