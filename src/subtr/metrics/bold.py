"""Correlation with BOLD, explained variance and noise ceilings."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64, Shaped

from subtr.params import SettingsError


def pearson_r(
    x: Shaped[np.ndarray, "tr parcel"], y: Shaped[np.ndarray, "tr parcel"]
) -> Float64[np.ndarray, " parcel"]:
    """Pearson correlation of each parcel over the TRs at which both are known.

    NaN for a parcel with fewer than 3 such TRs or with a constant series.

    Example
        >>> import numpy as np, subtr as st
        >>> series = np.arange(6.0)[:, None] ** 2
        >>> [round(float(r), 6) for r in st.pearson_r(series, -2 * series)]
        [-1.0]
    """
    both = np.isfinite(x) & np.isfinite(y)
    n = both.sum(0)

    def centred(values):
        values = np.where(both, values, 0.0).astype(np.float64)
        return np.where(both, values - values.sum(0) / np.maximum(n, 1), 0.0)

    a, b = centred(x), centred(y)
    aa, bb = (a * a).sum(0), (b * b).sum(0)
    # A constant series leaves rounding dust; compare it with the size of the values themselves.
    dust = 1e-20 * n
    flat = (aa <= dust * _largest(x, both) ** 2) | (bb <= dust * _largest(y, both) ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (a * b).sum(0) / np.sqrt(aa * bb)
    return np.where((n < 3) | flat, np.nan, np.clip(r, -1.0, 1.0))


def _largest(values, known):
    return np.abs(np.where(known, values, 0.0)).max(0, initial=0.0).astype(np.float64)


def known_mean(
    values: Shaped[np.ndarray, "..."], axis: int | None = None
) -> float | Float64[np.ndarray, "..."]:
    """Mean of what is known (finite), of all values or along an axis; NaN where nothing is."""
    known = np.isfinite(values)
    n = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis, dtype=np.float64)
    mean = np.where(n > 0, total / np.maximum(n, 1), np.nan)
    return float(mean) if axis is None else mean


def known_deviation(
    values: Shaped[np.ndarray, "..."], axis: int | None = None
) -> float | Float64[np.ndarray, "..."]:
    """Standard deviation of what is known, as `known_mean` takes the mean."""
    mean = known_mean(values, axis)
    centred = values - (mean if axis is None else np.expand_dims(mean, axis))
    squared = known_mean(centred**2, axis)
    return math.sqrt(squared) if axis is None else np.sqrt(squared)


def standardised(values: Shaped[np.ndarray, "..."], axis: int = 0) -> Float64[np.ndarray, "..."]:
    """Values of mean 0 and standard deviation 1 along an axis, of what is known.

    NaN stays NaN, and so does what is constant.
    """
    mean, spread = (np.expand_dims(of(values, axis), axis) for of in (known_mean, known_deviation))
    # Rounding leaves dust of a constant, which must not be blown up.
    spread = np.where(spread > 1e-10 * np.abs(mean) + 1e-300, spread, np.nan)
    return (np.where(np.isfinite(values), values, np.nan) - mean) / spread


def standardise_by_fold(
    series: Shaped[np.ndarray, "tr parcel"], tests: Sequence[Int[np.ndarray, " _"]]
) -> Float64[np.ndarray, "tr parcel"]:
    """Each test block to mean 0 and deviation 1 by itself; NaN at TRs that no fold tests.

    Folds are combined so: predictions and BOLD of all test blocks, standardised per block, are
    correlated as one series. This equals the mean of the folds' r weighted by their length, is
    blind to offsets between models of different folds, and can be bootstrapped over time. A block
    that is constant is 0 throughout: it predicts nothing, and is not left out for that.

    A prediction that is to be scored goes through `scored_on`.
    """

    def change(block: np.ndarray) -> np.ndarray:
        scaled = standardised(block)
        return np.where(np.isfinite(block) & np.isnan(scaled), 0.0, scaled)

    return _by_block(change, series, tests)


def scored_on(
    prediction: Shaped[np.ndarray, "tr parcel"],
    measured: Shaped[np.ndarray, "tr parcel"],
    tests: Sequence[Int[np.ndarray, " _"]],
) -> Float64[np.ndarray, "tr parcel"]:
    """A prediction as it is scored: `standardise_by_fold` over the volumes that were measured.

    Every score that is compared with another goes through here, so that all are of the same
    volumes at the same scale. Masking comes first: what is predicted of a missing volume has no
    say in the mean and deviation of its block.

    Arguments
        measured: the BOLD that it is compared with; NaN where it is missing.
    """
    return standardise_by_fold(masked_like(prediction, measured), tests)


def masked_like(
    prediction: Shaped[np.ndarray, "tr parcel"], measured: Shaped[np.ndarray, "tr parcel"]
) -> Float64[np.ndarray, "tr parcel"]:
    """The prediction, NaN where nothing was measured."""
    return np.where(np.isfinite(measured), prediction.astype(np.float64), np.nan)


def centred_by_fold(
    series: Shaped[np.ndarray, "tr parcel"], tests: Sequence[Int[np.ndarray, " _"]]
) -> Float64[np.ndarray, "tr parcel"]:
    """Each test block less its own mean; NaN at TRs that no fold tests."""
    return _by_block(lambda block: block - known_mean(block, 0), series, tests)


def _by_block(change: Callable, series: np.ndarray, tests) -> np.ndarray:
    out = np.full(series.shape, np.nan)
    for trs in tests:
        if np.isfinite(out[trs]).any():
            raise SettingsError("A TR lies in two test blocks: expected disjoint folds.")
        out[trs] = change(series[trs].astype(np.float64))
    return out


def parcels_alike(known: Bool[np.ndarray, "tr parcel"]) -> list[Int64[np.ndarray, " _"]]:
    """Parcels that miss the same volumes, and so can be solved together."""
    alike: dict[bytes, list[int]] = {}
    for parcel, column in enumerate(np.packbits(known, axis=0).T):
        alike.setdefault(column.tobytes(), []).append(parcel)
    return [np.array(parcels) for parcels in alike.values()]


def r2_score(
    prediction: Float[np.ndarray, "tr parcel"],
    bold: Float[np.ndarray, "tr parcel"],
    training_mean: Float[np.ndarray, " parcel"] | float | int = 0.0,
) -> Float64[np.ndarray, " parcel"]:
    """Share of the held-out variance around the training mean that is predicted, per parcel.

    1 is perfection, 0 what the training mean reaches; below 0 the mean would have been better.

    Arguments
        prediction: in the units of ``bold``.
        training_mean: 0 where BOLD is z-scored by its training volumes.

    NaN for a parcel with fewer than 3 known volumes.
    """
    known = np.isfinite(prediction) & np.isfinite(bold)
    error = np.where(known, bold - prediction, 0.0).astype(np.float64)
    deviation = np.where(known, bold - training_mean, 0.0).astype(np.float64)
    total = (deviation**2).sum(axis=0)
    usable = (known.sum(axis=0) >= 3) & (total > 0)
    share = 1 - (error**2).sum(axis=0) / np.where(usable, total, 1.0)
    return np.where(usable, share, np.nan)


def calibrated(
    prediction: Float[np.ndarray, "tr parcel"],
    bold: Float[np.ndarray, "tr parcel"],
    trs: Int[np.ndarray, " _"],
) -> Float64[np.ndarray, "tr parcel"]:
    """Predictions brought to the units of BOLD: offset and slope of each parcel, fitted on ``trs``.

    What learns by correlation has no units of its own, so R2 needs this. Slopes are never 0 or
    below, but at least a thousandth of what would give BOLD's own deviation, so that r stays.
    Give TRs that it has not learned from and is not scored on, such as those of validation.
    """
    x, y = prediction[trs].astype(np.float64), bold[trs].astype(np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(known, x, np.nan), np.where(known, y, np.nan)
    x_mean, y_mean = known_mean(x, axis=0), known_mean(y, axis=0)
    dx, dy = np.nan_to_num(x - x_mean), np.nan_to_num(y - y_mean)
    power = (dx * dx).sum(axis=0)
    power = np.where(power > 0, power, np.inf)
    least = 1e-3 * np.sqrt((dy * dy).sum(axis=0) / power)
    slope = np.maximum((dx * dy).sum(axis=0) / power, least)
    return (prediction - x_mean) * slope + y_mean


def lag_scan(
    feature: Float[np.ndarray, " tr"],
    bold: Float[np.ndarray, "tr parcel"],
    tr_s: float,
    longest_s: float = 16.0,
) -> tuple[Float64[np.ndarray, " lag"], Float64[np.ndarray, "lag parcel"]]:
    """Correlation of a feature with BOLD that comes ``lag`` seconds later.

    Negative lags (down to -longest_s / 2) are in the scan to expose a misalignment; the response
    cannot come before the stimulus.

    Returns
        lags_s (n_lags,), r (n_lags, n_parcels).
    """
    n_trs = len(feature)
    lags = np.arange(-round(longest_s / 2 / tr_s), round(longest_s / tr_s) + 1)
    lags = lags[np.abs(lags) <= n_trs - 3]
    rows = []
    for lag in lags:
        ahead = feature[max(-lag, 0) : n_trs - max(lag, 0)]
        later = bold[max(lag, 0) : n_trs - max(-lag, 0)]
        rows.append(pearson_r(np.broadcast_to(ahead[:, None], later.shape), later))
    return lags * float(tr_s), np.array(rows)


def check_lag(
    lags_s: Float[np.ndarray, " lag"],
    r: Float[np.ndarray, "lag parcel"],
    expected_s: float,
    tolerance_s: float = 3.0,
) -> float:
    """The lag in seconds at which r, averaged over parcels, peaks.

    Warns (UserWarning) when that is more than ``tolerance_s`` from ``expected_s``: the stimulus and
    the BOLD are then probably misaligned, or were already shifted.
    """
    peak_s = float(lags_s[np.nanargmax(known_mean(r, axis=1))])
    if abs(peak_s - expected_s) > tolerance_s:
        warnings.warn(
            f"BOLD follows the stimulus best at a lag of {peak_s:g} s, but about {expected_s:g} s "
            "is expected: check the onset of the stimulus, and whether the BOLD was shifted.",
            UserWarning,
            stacklevel=2,
        )
    return peak_s


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

    Example
        >>> import numpy as np, subtr as st
        >>> shared = np.random.default_rng(0).normal(size=(50, 3))
        >>> [round(float(r), 6) for r in st.noise_ceiling({"a": shared, "b": 2 * shared})]
        [1.0, 1.0, 1.0]
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
