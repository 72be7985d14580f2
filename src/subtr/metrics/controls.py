"""Controls that break one thing at a time, and the p-value of surviving them."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Float64, Shaped

from subtr.errors import SettingsError
from subtr.metrics.bold import pearson_r


def shuffle_frames(
    windows: Shaped[np.ndarray, "tr frame *feature"], seed: int = 0
) -> Shaped[np.ndarray, "tr frame *feature"]:
    """Each TR's frames in an order of its own: what each TR holds stays, its order goes.

    A system whose score survives this does not use order within the TR.
    """
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(windows.shape[1]), (len(windows), 1)), axis=1)
    return windows[np.arange(len(windows))[:, None], order]


def permutation_p(
    observed: float | Float[np.ndarray, " parcel"],
    null: Float[np.ndarray, "draw *parcel"],
) -> float | Float64[np.ndarray, " parcel"]:
    """One-sided p of the observed score: (1 + draws at least as large) / (1 + draws).

    The added one counts the observed order itself, so p is never 0 and the test never too bold.
    NaN where the observed score is NaN.

    Source: Phipson and Smyth 2010, Permutation p-values should never be zero.
    """
    beaten = (null >= np.asarray(observed)).sum(axis=0)
    known = (~np.isnan(null)).sum(axis=0)
    p = np.where(np.isnan(observed), np.nan, (1 + beaten) / (1 + known))
    return float(p) if p.ndim == 0 else p


def circular_shift_null(
    prediction: Float[np.ndarray, "tr parcel"],
    bold: Float[np.ndarray, "tr parcel"],
    least_shift_trs: int,
    n_draws: int = 1000,
    seed: int = 0,
    score: Callable[[np.ndarray, np.ndarray], np.ndarray] = pearson_r,
) -> Float64[np.ndarray, "draw parcel"]:
    """Scores of predictions moved along in time, wrapped around: chance at the same smoothness.

    Arguments
        prediction, bold: (n_trs, n_parcels), consecutive volumes.
        least_shift_trs: shifts are at least this far from 0 in both directions, so that the
            haemodynamic response does not carry over (about 16 s / tr_s).
        n_draws: shifts drawn; every possible shift once when there are fewer.

    Raises
        SettingsError: a series too short to be shifted that far.
    """
    n_trs = len(bold)
    shifts = np.arange(least_shift_trs, n_trs - least_shift_trs + 1)
    if least_shift_trs < 1 or not len(shifts):
        raise SettingsError(
            f"least_shift_trs = {least_shift_trs} with {n_trs} TRs: expected 1 to {n_trs // 2}."
        )
    if len(shifts) > n_draws:
        shifts = np.random.default_rng(seed).choice(shifts, n_draws, replace=False)
    return np.array([score(np.roll(prediction, shift, axis=0), bold) for shift in shifts])


def wrong_subject_scores(
    predictions: Mapping[str, Float[np.ndarray, "tr parcel"]],
    bold: Mapping[str, Float[np.ndarray, "tr parcel"]],
) -> tuple[Float64[np.ndarray, "subject parcel"], Float64[np.ndarray, "pair parcel"]]:
    """r of each subject's prediction with their own BOLD, and with everybody else's.

    A per-subject head earns its keep only if the first are above the second.

    Returns
        right (n_subjects, n_parcels), wrong (n_subjects * (n_subjects - 1), n_parcels).
    """
    subjects = [subject for subject in predictions if subject in bold]
    if len(subjects) < 2:
        raise SettingsError(f"{len(subjects)} subject(s) in both: pairing needs at least two.")
    right = [pearson_r(predictions[s], bold[s]) for s in subjects]
    wrong = [pearson_r(predictions[s], bold[o]) for s in subjects for o in subjects if o != s]
    return np.array(right), np.array(wrong)


def wrong_subject_p(
    predictions: Mapping[str, Float[np.ndarray, "tr parcel"]],
    bold: Mapping[str, Float[np.ndarray, "tr parcel"]],
    n_draws: int = 1000,
    seed: int = 0,
) -> Float64[np.ndarray, " parcel"]:
    """p, per parcel, that heads fit their own subject no better than under shuffled pairings.

    With n subjects no p can be below about 1 / n!, so it needs at least five of them.
    """
    subjects = [subject for subject in predictions if subject in bold]
    right, _ = wrong_subject_scores(predictions, bold)
    n = len(subjects)
    r = np.array([[pearson_r(predictions[s], bold[o]) for o in subjects] for s in subjects])
    rng = np.random.default_rng(seed)
    null = np.array([r[np.arange(n), rng.permutation(n)].mean(0) for _ in range(n_draws)])
    return np.asarray(permutation_p(right.mean(0), null))
