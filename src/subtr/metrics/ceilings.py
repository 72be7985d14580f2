"""The ceilings that noise puts on scores of BOLD. NaN marks masked volumes."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float64

from subtr.metrics.bold import known_mean, pearson_r, standardised
from subtr.params import SettingsError

Subjects = Mapping[str, Float[np.ndarray, "tr parcel"]] | Float[np.ndarray, "subject tr parcel"]
LARGEST_R = 1 - 1e-9


def split_half_ceiling(
    bold_by_subject: Subjects,
    n_splits: int = 100,
    seed: int = 0,
    scored_subjects: int | None = None,
) -> Float64[np.ndarray, " parcel"]:
    """The highest r that a model of the shared signal can reach, per parcel.

    Square root of the reliability of the group mean: subjects are split into random halves, the
    halves' means correlated, r averaged over splits and carried to the whole group by the
    Spearman-Brown formula. 0 where the reliability is negative.

    Arguments
        scored_subjects: how many subjects the scored series averages; all by default, 1 for the
            ceiling of a single subject's BOLD (which counts what is that subject's own as noise).

    Raises
        SettingsError: fewer than two subjects; no reliability can come from one.
    """
    bold = stacked(bold_by_subject)
    n_subjects = len(bold)
    half = n_subjects // 2
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(n_splits):
        order = rng.permutation(n_subjects)
        first = known_mean(bold[order[:half]], axis=0)
        second = known_mean(bold[order[half : 2 * half]], axis=0)
        draws.append(pearson_r(first, second))
    r = np.clip(known_mean(np.array(draws), axis=0), 0.0, 1.0)
    length = (scored_subjects or n_subjects) / half
    return np.sqrt(length * r / (1 + (length - 1) * r))


def intersubject_correlation(
    bold_by_subject: Subjects,
) -> Float64[np.ndarray, "subject parcel"]:
    """r of each subject with the mean of the others, z-scored: what is shared, per parcel.

    Raises
        SettingsError: fewer than two subjects.

    Source: Nastase et al. 2019, Measuring shared responses across subjects using intersubject
    correlation, "leave-one-out approach".
    """
    z = standardised(stacked(bold_by_subject), axis=1)
    others = [known_mean(np.delete(z, subject, axis=0), axis=0) for subject in range(len(z))]
    return np.stack([pearson_r(*pair) for pair in zip(z, others, strict=True)])


def intersubject_ceiling(bold_by_subject: Subjects) -> Float64[np.ndarray, " parcel"]:
    """How well the others predict a subject: the mean of `intersubject_correlation`, through z.

    A lower bound of what a model of the shared signal can reach in one subject, as the others'
    mean has noise too.
    """
    r = np.clip(intersubject_correlation(bold_by_subject), -LARGEST_R, LARGEST_R)
    return np.tanh(known_mean(np.arctanh(r), axis=0))


def stacked(bold_by_subject) -> np.ndarray:
    if isinstance(bold_by_subject, Mapping):
        bold_by_subject = np.stack(list(bold_by_subject.values()))
    if len(bold_by_subject) < 2:
        raise SettingsError(
            f"{len(bold_by_subject)} subject(s): a split-half or inter-subject ceiling needs at "
            "least two."
        )
    return bold_by_subject.astype(np.float64)
