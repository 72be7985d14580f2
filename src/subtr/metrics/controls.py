"""Controls that break one thing at a time, and the p-value of surviving them."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float64, Int, Shaped
from scipy import stats

from subtr.metrics.bold import known_mean, pearson_r, scored_on
from subtr.params import SettingsError


def shuffle_frames(
    windows: Shaped[np.ndarray, "tr frame *feature"], seed: int = 0
) -> Shaped[np.ndarray, "tr frame *feature"]:
    """Each TR's frames in an order of its own: what each TR holds stays, its order goes.

    A system whose score survives this does not use order within the TR.
    """
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(windows.shape[1]), (len(windows), 1)), axis=1)
    return windows[np.arange(len(windows))[:, None], order]


def phase_randomised(
    series: Float[np.ndarray, "time *channel"], seed: int = 0
) -> Float64[np.ndarray, "time *channel"]:
    """A surrogate of the same spectra and cross-spectra, of which everything else is chance.

    The phases of the Fourier transform become random, the same change in all channels, so that
    each keeps its mean, variance and autocorrelation, and any two what goes together in them at
    any lag. What is not in second moments, such as onsets, words and order, is gone. A jump from
    the last sample to the first is spread over the surrogate.

    Sources: Theiler et al. 1992, Testing for nonlinearity in time series; Prichard and Theiler
    1994, Generating surrogate data for time series with several simultaneously measured variables.
    """
    n = len(series)
    spectrum = np.fft.rfft(series, axis=0)
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(spectrum))
    phases[0] = 0.0
    if n % 2 == 0:  # the highest frequency has a sign and no phase
        phases[-1] = np.pi * (phases[-1] > np.pi)
    turn = np.exp(1j * phases).reshape(-1, *[1] * (series.ndim - 1))
    return np.fft.irfft(spectrum * turn, n, axis=0)


def phase_randomised_frames(
    windows: Float[np.ndarray, "tr frame *feature"],
    run_of_tr: Shaped[np.ndarray, " tr"] | None = None,
    seed: int = 0,
) -> Float[np.ndarray, "tr frame *feature"]:
    """`phase_randomised` of a stimulus cut into TRs, each run by itself as one stream of frames."""
    runs = np.zeros(len(windows), int) if run_of_tr is None else run_of_tr
    out = np.empty_like(windows)
    for index, run in enumerate(np.unique(runs)):
        stream = windows[runs == run]
        flat = stream.reshape(len(stream) * stream.shape[1], -1)
        surrogate = np.empty_like(flat)
        # Of a film's pixels some at a time, since spectra take memory; the phases are the same.
        for first in range(0, flat.shape[1], 4096):
            some = slice(first, first + 4096)
            surrogate[:, some] = phase_randomised(flat[:, some], seed + 1000 * index)
        out[runs == run] = surrogate.reshape(stream.shape)
    return out


def phase_null(
    prediction: Float[np.ndarray, "tr parcel"],
    bold: Float[np.ndarray, "tr parcel"],
    n_draws: int = 200,
    seed: int = 0,
    score: Callable[[np.ndarray, np.ndarray], np.ndarray] = pearson_r,
) -> Float64[np.ndarray, "draw parcel"]:
    """Scores of surrogates of the prediction: chance at the same spectrum (see `phase_randomised`).

    Give consecutive TRs without missing predictions.
    """
    return np.array(
        [score(phase_randomised(prediction, seed + draw), bold) for draw in range(n_draws)]
    )


def false_discovery_q(p: Float[np.ndarray, " test"]) -> Float64[np.ndarray, " test"]:
    """The least false discovery rate at which each test is called positive; NaN stays NaN.

    Calling positive what has q of at most 0.05 leaves at most 5 % false ones among those called,
    where tests are independent or positively dependent, as parcels are.

    Source: Benjamini and Hochberg 1995, Controlling the false discovery rate.
    """
    q = np.full(p.shape, np.nan)
    known = np.isfinite(p)
    if known.any():
        q[known] = stats.false_discovery_control(p[known], method="bh")
    return q


def permutation_p(
    observed: float | Float[np.ndarray, " parcel"],
    null: Float[np.ndarray, "draw *parcel"],
) -> float | Float64[np.ndarray, " parcel"]:
    """One-sided p of the observed score: (1 + draws at least as large) / (1 + draws).

    The added one counts the observed order itself, so p is never 0 and the test never too bold,
    if under the null hypothesis the observed score could as well have been any of the draws. Of
    series that resemble their past, draws by shuffled TRs are no such draws; shifts are.
    NaN where the observed score is NaN.

    Source: Phipson and Smyth 2010, Permutation p-values should never be zero.
    """
    beaten = (null >= np.asarray(observed)).sum(axis=0)
    known = (~np.isnan(null)).sum(axis=0)
    p = np.where(np.isnan(observed), np.nan, (1 + beaten) / (1 + known))
    return float(p) if p.ndim == 0 else p


def cross_subject_r(
    predictions: Mapping[str, Float[np.ndarray, "tr parcel"]],
    bold: Mapping[str, Float[np.ndarray, "tr parcel"]],
    tests: Sequence[Int[np.ndarray, " _"]] | None = None,
) -> Float64[np.ndarray, "predicted scored parcel"]:
    """r of every prediction (of a subject's head, or of the group) with every subject's BOLD.

    How far what was learned of some carries to others, to be set beside the inter-subject ceiling.
    Each pair is scored on the volumes that the scored subject has, see `scored_on`.

    Arguments
        bold: standardised by test block.
        tests: the test blocks; one of all TRs if omitted.
    """

    def r(of: np.ndarray, measured: np.ndarray) -> np.ndarray:
        return pearson_r(scored_on(of, measured, tests or [np.arange(len(measured))]), measured)

    return np.array([[r(of, other) for other in bold.values()] for of in predictions.values()])


def wrong_subject_scores(
    predictions: Mapping[str, Float[np.ndarray, "tr parcel"]],
    bold: Mapping[str, Float[np.ndarray, "tr parcel"]],
    tests: Sequence[Int[np.ndarray, " _"]] | None = None,
) -> tuple[Float64[np.ndarray, "subject parcel"], Float64[np.ndarray, "pair parcel"]]:
    """r of each subject's prediction with their own BOLD, and with everybody else's.

    A per-subject head earns its keep only if the first are above the second.

    Arguments
        as `cross_subject_r`.

    Returns
        right (n_subjects, n_parcels), wrong (n_subjects * (n_subjects - 1), n_parcels).
    """
    r = _of_pairs(predictions, bold, tests)
    own = np.eye(len(r), dtype=bool)
    return r[own], r[~own]


def wrong_subject_p(
    predictions: Mapping[str, Float[np.ndarray, "tr parcel"]],
    bold: Mapping[str, Float[np.ndarray, "tr parcel"]],
    tests: Sequence[Int[np.ndarray, " _"]] | None = None,
    n_draws: int = 1000,
    seed: int = 0,
) -> Float64[np.ndarray, " parcel"]:
    """p, per parcel, that heads fit their own subject no better than under shuffled pairings.

    With n subjects no p can be below about 1 / n!, so it needs at least five of them. A parcel
    that a subject lacks is judged by the others.

    Arguments
        predictions, bold, tests: as `cross_subject_r`.
    """
    r = _of_pairs(predictions, bold, tests)
    own, rng = np.arange(len(r)), np.random.default_rng(seed)
    null = [known_mean(r[own, rng.permutation(len(r))], axis=0) for _ in range(n_draws)]
    return np.asarray(permutation_p(known_mean(r[own, own], axis=0), np.array(null)))


def _of_pairs(predictions, bold, tests) -> np.ndarray:
    """r (predicted, scored, parcel) of the subjects that both have."""
    subjects = [subject for subject in predictions if subject in bold]
    if len(subjects) < 2:
        raise SettingsError(f"{len(subjects)} subject(s) in both: pairing needs at least two.")
    both = ({subject: of[subject] for subject in subjects} for of in (predictions, bold))
    return cross_subject_r(*both, tests)
