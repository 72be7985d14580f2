"""The BOLD of a fold: held-out targets, labelled part, deconvolved labels."""

import warnings
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Int, Int64
from pydantic import Field

from subtr.bold.cleaning import Cleaner
from subtr.bold.deconvolution import Deconvolution
from subtr.bold.hrf import convolve_hrf
from subtr.datasets.study import Fold, Study
from subtr.metrics.bold import (
    centred_by_fold,
    masked_like,
    scored_on,
    split_half_ceiling,
    standardise_by_fold,
)
from subtr.params import SettingsError, Strict, StudyWarning
from subtr.timeline import HRF_DURATION_S, Split, consecutive


def cleaned_bold(
    study: Study, split: Split, drift_order: int
) -> tuple[dict[str, Float64[np.ndarray, "tr parcel"]], Float64[np.ndarray, "tr parcel"]]:
    """BOLD without drift and z-scored, by subject and as the subjects' mean.

    Drift, means and deviations are those of the training TRs.
    """
    subjects, total, count = {}, 0.0, 0
    for subject, bold in study.bold.items():
        confounds = study.confounds.get(subject)
        cleaner = Cleaner(study.clock.tr_s, drift_order, confounds).fit(bold, split.train)
        subjects[subject] = cleaned = cleaner.transform(bold)
        # Summed one by one: a stack of many subjects would be held twice.
        known = np.isfinite(cleaned)
        total, count = total + np.where(known, cleaned, 0.0), count + known
    mean = np.where(count, total / np.maximum(count, 1), np.nan)
    return subjects, Cleaner(study.clock.tr_s, 0).fit(mean, split.train).transform(mean)


@dataclass(frozen=True)
class HeldOutBold:
    """The BOLD of all test blocks, cleaned by what their training TRs say, and its ceiling.

    Arguments
        mean: subjects' mean (TR, parcel), each test block standardised; NaN where never tested.
        subjects: the same of each subject.
        ceiling: highest r a model of the shared signal can reach, per parcel; NaN with one subject.
        tests: the test blocks.
        groups: tuning class or region of each parcel, by its name.
        mean_z: subjects' mean as the training TRs z-score it, for R2; None leaves R2 out.
        run_of_tr: run of each TR; one run if None.
    """

    mean: Float64[np.ndarray, "tr parcel"]
    subjects: dict[str, Float64[np.ndarray, "tr parcel"]]
    ceiling: Float64[np.ndarray, " parcel"]
    tests: list[Int[np.ndarray, " _"]]
    groups: pd.Series
    tr_s: float
    mean_z: Float64[np.ndarray, "tr parcel"] | None = None
    run_of_tr: Int[np.ndarray, " tr"] | None = None

    @property
    def trs(self) -> Int[np.ndarray, " _"]:
        """All tested TRs, ascending."""
        return np.sort(np.concatenate(self.tests))

    def scored(
        self, prediction: Float[np.ndarray, "tr parcel"], subject: str | None = None
    ) -> Float64[np.ndarray, "tr parcel"]:
        """A prediction as it is compared with a subject's BOLD, or with the mean: `scored_on`."""
        measured = self.mean if subject is None else self.subjects[subject]
        return scored_on(prediction, measured, self.tests)

    def centred(
        self, prediction: Float[np.ndarray, "tr parcel"]
    ) -> tuple[Float64[np.ndarray, "tr parcel"], Float64[np.ndarray, "tr parcel"]]:
        """A prediction in the units of ``mean_z``, and that itself, as R2 compares them.

        Each test block is without its level, over the volumes that were measured.
        """
        both = masked_like(prediction, self.mean_z), self.mean_z
        return tuple(centred_by_fold(of, self.tests) for of in both)


def held_out_bold(study: Study, splits: list[Split], drift_order: int) -> HeldOutBold:
    """What predictions of the test blocks are scored against."""
    shape = (study.clock.n_trs, len(study.parcels))
    mean = np.full(shape, np.nan)
    subjects = {subject: np.full(shape, np.nan) for subject in study.subjects}
    for split in splits:
        each, group = cleaned_bold(study, split, drift_order)
        mean[split.test] = group[split.test]
        for subject, bold in each.items():
            subjects[subject][split.test] = bold[split.test]
    tests = [split.test for split in splits]
    subjects = {subject: standardise_by_fold(bold, tests) for subject, bold in subjects.items()}
    ceiling = np.full(shape[1], np.nan)
    if len(subjects) > 1:
        ceiling = split_half_ceiling(subjects)
    return HeldOutBold(
        standardise_by_fold(mean, tests),
        subjects,
        ceiling,
        tests,
        study.parcels["tuning"],
        study.clock.tr_s,
        mean,
        study.run_of_tr,
    )


def labelled_trs(split: Split, fraction: float, study: Study, seed: int) -> Int64[np.ndarray, " _"]:
    """Training TRs whose BOLD may be learned from: one block of each stretch of training.

    Arguments
        fraction: share of the training TRs, in each stretch alike; 1 gives all of them.
        seed: of where in its stretch each block lies.

    Raises
        SettingsError: the blocks together are shorter than a haemodynamic response.
    """
    if fraction == 1:
        return split.train
    stretches = consecutive(split.train, study.run_of_tr)
    # Rounded as a running sum, so that their total is exact.
    edges = np.rint(fraction * np.cumsum([0, *map(len, stretches)])).astype(int)
    rng = np.random.default_rng([seed, 37])
    blocks = []
    for stretch, n_trs in zip(stretches, np.diff(edges), strict=True):
        first = rng.integers(len(stretch) - n_trs + 1)
        blocks.append(stretch[first : first + n_trs])
    chosen = np.concatenate(blocks)
    tr_s = study.clock.tr_s
    if len(chosen) * tr_s < HRF_DURATION_S:
        raise SettingsError(
            f"label_fraction = {fraction:g}: {len(chosen) * tr_s:g} s of "
            f"{len(split.train) * tr_s:g} s of training, expected at least {HRF_DURATION_S:g} s."
        )
    return chosen


def labelled_bold(
    fold: Fold, labelled: Int64[np.ndarray, " _"]
) -> tuple[dict[str, Float64[np.ndarray, "tr parcel"]], Float64[np.ndarray, "tr parcel"]]:
    """BOLD without drift and z-scored as by `cleaned_bold`; NaN where it may not be learned from.

    Drift, means and deviations are those of the labelled TRs. Far from them that drift means
    nothing, so where not all of training is labelled, the validation TRs are cleaned by their own.

    Arguments
        labelled: see `labelled_trs`.
    """
    study, split, drift_order = fold.study, fold.split, fold.drift_order
    subjects, mean = cleaned_bold(study, replace(split, train=labelled), drift_order)
    if len(labelled) == len(split.train):
        return subjects, mean
    own_split = replace(split, train=split.validation)
    own_subjects, own_mean = cleaned_bold(study, own_split, drift_order)
    allowed = np.zeros((study.clock.n_trs, 1), bool)
    allowed[labelled] = True
    checked = np.zeros_like(allowed)
    checked[split.validation] = True

    def joined(learned, own):
        return np.where(checked, own, np.where(allowed, learned, np.nan))

    each = {name: joined(of, own_subjects[name]) for name, of in subjects.items()}
    return each, joined(mean, own_mean)


# A study whose BOLD was deconvolved, to be learned and predicted as activity of the same TR.
#
# What is predicted of activity goes through the response again, so that it is scored against the
# BOLD
# that was measured: deconvolved BOLD is an estimate, and no score should depend on how it was made.


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
