"""Many subjects, one after the other: each read, cleaned, fitted, scored and let go."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from benchmarks.streaming_ridge import StreamingRidge
from subtr.bold.cleaning import Cleaner
from subtr.datasets.study import Study
from subtr.experiments.bold_scores import groups_of, one_subject_rows, score_rows
from subtr.experiments.results import Row, block_trs
from subtr.metrics.bold import known_mean, pearson_r, scored_on, standardise_by_fold
from subtr.metrics.inference import block_bootstrap, held_out_shift_null
from subtr.models.ridge import delayed
from subtr.params import StudyError
from subtr.timeline import Split


@dataclass(frozen=True)
class SubjectScores:
    """Held-out r of every subject and parcel by one set of features.

    Arguments
        name, n_floats: of the features, and how many go into the regression.
        r: NaN where a subject's parcel is masked.
        by_tr: what each tested TR adds to r: z-scored prediction times z-scored BOLD, averaged over
            parcels of all and of each class, and over the subjects that have them.
        shifted: mean r over subjects that have the parcel when predictions are moved along by 16 s
            or more, wrapped around; one row a shift.
        ceiling: of a single subject, see `StreamedCeiling`; NaN with one subject.
        subjects, groups, tr_s: names of the subjects, each parcel's class, seconds of a TR.
    """

    name: str
    n_floats: int
    r: Float64[np.ndarray, "subject parcel"]
    by_tr: Float64[np.ndarray, "tr group"]
    shifted: Float64[np.ndarray, "shift parcel"]
    ceiling: Float64[np.ndarray, " parcel"]
    subjects: tuple[str, ...]
    groups: tuple[str, ...]
    tr_s: float

    def rows(self, **labels: Any) -> list[Row]:
        """r and r / ceiling, of all parcels and by class, averaged over subjects; and r of each.

        Intervals resample blocks of 15 s of the products that r is the mean of; the floor is the
        95th percentile of all shifts.
        """
        length = block_trs(len(self.by_tr), self.tr_s)
        low, high = block_bootstrap(
            lambda trs: known_mean(self.by_tr[trs], 0), len(self.by_tr), length
        )
        rows: list[Row] = []
        for index, (group, of) in enumerate(groups_of(self.groups).items()):
            floor = np.nanpercentile(known_mean(self.shifted[:, of], 1), 95)
            score = {"value": known_mean(known_mean(self.r[:, of], 1)), "floor": floor}
            score |= {"low": low[index], "high": high[index]}
            rows += score_rows(group, score, known_mean(self.ceiling[of]))
        rows += one_subject_rows(self.subjects, self.r)
        labels = labels | {"modality": "bold", "floats_per_tr": self.n_floats}
        return [labels | row for row in rows]


def fir_features(
    study: Study, features: Mapping[str, Float[np.ndarray, "tr feature"]], fir_s: float = 16.0
) -> dict[str, Float64[np.ndarray, "tr lag_feature"]]:
    """Features of each TR and of those up to ``fir_s`` seconds before it, side by side.

    Of a study whose HRF is applied already, the features themselves.
    """
    reach_s = 0.0 if study.hrf_applied else fir_s
    n_lags = math.ceil(reach_s / study.clock.tr_s - 1e-9) + 1
    return {
        name: delayed(np.asarray(of, dtype=np.float64), n_lags, study.run_of_tr)
        for name, of in features.items()
    }


def score_subjects(
    study: Study,
    splits: list[Split],
    features: Mapping[str, Float[np.ndarray, "tr feature"] | Sequence[np.ndarray]],
    drift_order: int,
) -> list[SubjectScores]:
    """Each subject's held-out r by ridge regression on features that all subjects share.

    One subject's BOLD is in memory at a time, where the study's lies on disk; the features are
    decomposed once for all of them.

    Arguments
        features: name -> values of all TRs as they go into the regression, for example those of
            `fir_features`; or a list of such, one a fold, as of a network trained on each.

    Raises
        StudyError: a study without BOLD.
    """
    if not study.bold:
        raise StudyError(f"{study.name} has no BOLD to score.")
    tr_s, n_parcels = study.clock.tr_s, len(study.parcels)
    ridges = {name: _ridges(of, splits, tr_s) for name, of in features.items()}
    tests = [split.test for split in splits]
    tested = np.sort(np.concatenate(tests))
    ceiling = StreamedCeiling()
    r: dict[str, list[np.ndarray]] = {name: [] for name in features}
    by_tr = {name: _RunningMean() for name in features}
    shifted = {name: _RunningMean() for name in features}
    groups = tuple(study.parcels["tuning"].astype(str))
    of_groups = groups_of(groups).values()
    for subject, on_disk in study.bold.items():
        bold = np.asarray(on_disk, dtype=np.float64)
        measured = np.full(bold.shape, np.nan)
        found = {name: np.full(bold.shape, np.nan) for name in features}
        for fold, split in enumerate(splits):
            cleaner = Cleaner(tr_s, drift_order, study.confounds.get(subject))
            cleaned = cleaner.fit(bold, split.train).transform(bold)
            measured[split.test] = cleaned[split.test]
            for name, of in ridges.items():
                found[name][split.test] = of[fold].predict(cleaned, split.test)
        measured = standardise_by_fold(measured, tests)
        ceiling.add(measured)
        for name, prediction in found.items():
            one, other = scored_on(prediction, measured, tests)[tested], measured[tested]
            r[name].append(pearson_r(one, other))
            product = one * other
            by_tr[name].add(np.stack([known_mean(product[:, of], 1) for of in of_groups], axis=1))
            shifted[name].add(held_out_shift_null(prediction, measured, tests, tr_s)[1])
    single = ceiling.single() if len(study.bold) > 1 else np.full(n_parcels, np.nan)
    return [
        SubjectScores(
            name,
            ridges[name][0].features.shape[1],
            np.array(r[name]),
            by_tr[name].mean(),
            shifted[name].mean(),
            single,
            tuple(study.subjects),
            groups,
            tr_s,
        )
        for name in features
    ]


class _RunningMean:
    """Mean of what is known of arrays that come one after the other; NaN where nothing is."""

    def __init__(self):
        self.total, self.count = 0.0, 0

    def add(self, values: np.ndarray) -> None:
        known = np.isfinite(values)
        self.total = self.total + np.where(known, values, 0.0)
        self.count = self.count + known

    def mean(self) -> np.ndarray:
        return np.where(self.count > 0, self.total / np.maximum(self.count, 1), np.nan)


def _ridges(features, splits: list[Split], tr_s: float) -> list[StreamingRidge]:
    by_fold = [features] * len(splits) if isinstance(features, np.ndarray) else list(features)
    return [
        StreamingRidge(np.asarray(of, dtype=np.float64), split.train, tr_s)
        for of, split in zip(by_fold, splits, strict=True)
    ]


class StreamedCeiling:
    """How much of the BOLD is shared, from running sums over subjects.

    The variance of z-scored BOLD is split into what volumes have in common over subjects and what
    is left, as by an analysis of variance with one factor. The reliability of the subjects' mean
    that follows is Cronbach's alpha, the mean of the reliabilities by all split halves; so this is
    what `subtr.metrics.bold.split_half_ceiling` estimates, without a draw of halves and without a
    stack of subjects.

    Source: Hoyt 1941, Test reliability estimated by analysis of variance; Cronbach 1951,
    Coefficient alpha and the internal structure of tests.
    """

    def __init__(self):
        self._total = self._squares = 0.0
        self._count = np.zeros((1, 1))

    def add(self, bold: Float[np.ndarray, "tr parcel"]) -> None:
        """One more subject's z-scored BOLD; NaN is left out."""
        known = np.isfinite(bold)
        values = np.where(known, bold, 0.0)
        self._total = self._total + values
        self._squares = self._squares + np.square(values)
        self._count = self._count + known

    def group(self) -> Float64[np.ndarray, " parcel"]:
        """Highest r that a model of the shared signal can reach with the subjects' mean."""
        shared, own, n_subjects = self._variances()
        return np.sqrt(shared / np.maximum(shared + own / n_subjects, 1e-12))

    def single(self) -> Float64[np.ndarray, " parcel"]:
        """The same with one subject's BOLD, of which what is not shared counts as noise."""
        shared, own, _ = self._variances()
        return np.sqrt(shared / np.maximum(shared + own, 1e-12))

    def _variances(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Variance over time that is shared, variance that is not, and the mean of subjects.

        Raises
            StudyError: fewer than two subjects.
        """
        most = int(self._count.max())
        if most < 2:
            raise StudyError(f"{most} subject(s): a ceiling needs at least two.")
        count = np.where(self._count >= 2, self._count, np.nan)
        with np.errstate(invalid="ignore"):
            mean = self._total / count
            left = self._squares - count * np.square(mean)
            n_trs = np.isfinite(count).sum(axis=0).clip(1)
            free = np.nansum(count - 1, axis=0)
            # z-scores have no mean over time, which costs a subject one degree of freedom.
            n_subjects = n_trs / np.nansum(1 / count, axis=0).clip(1e-12)
            own = np.nansum(left, axis=0) / (free * (n_trs - 1) / n_trs).clip(1e-12)
            of_mean = np.nansum(np.square(mean), axis=0) / (n_trs - 1).clip(1)
        shared = np.maximum(of_mean - own / n_subjects, 0.0)
        measured = np.isfinite(count).any(axis=0)
        return tuple(np.where(measured, of, np.nan) for of in (shared, own, n_subjects))
