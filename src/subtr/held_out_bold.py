"""BOLD as models are fitted to it and as predictions are scored against it: cleaned by fold."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Int

from subtr.bold.cleaning import Cleaner
from subtr.metrics.bold import (
    centred_by_fold,
    masked_like,
    scored_on,
    split_half_ceiling,
    standardise_by_fold,
)
from subtr.study import Study
from subtr.timeline import Split


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
