"""Brain encoding of a study: lags, surrogates, variance partition, transfer of encoders."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from jaxtyping import Float, Float64

from subtr.datasets.held_out import cleaned_bold, held_out_bold
from subtr.datasets.study import Fold, Study
from subtr.experiments.data import ExperimentData
from subtr.experiments.experiment import training_folds
from subtr.experiments.results import block_trs
from subtr.metrics.bold import known_mean, pearson_r, r2_score
from subtr.metrics.inference import (
    block_bootstrap,
    false_discovery_q,
    held_out_shift_null,
    permutation_p,
)
from subtr.models.batches import Stimulus, altered, parts_of, stimulus_of, without_fast_changes
from subtr.models.encoding_model import BoldPredictor
from subtr.models.ridge import BandedRidge, ridge_features
from subtr.params import SettingsError
from subtr.training.encoding_models import Trained, bold_timeline, fit_fold

Spaces = Mapping[str, Float[np.ndarray, "tr _"]]

MOST_SPACES = 4


def partition(
    r2: Mapping[frozenset[str], Float[np.ndarray, " parcel"]],
) -> dict[frozenset[str], Float64[np.ndarray, " parcel"]]:
    """Variance that is common to exactly the spaces of each set, which sum to R2 of all together.

    Arguments
        r2: R2 of a model of each combination of spaces; of none it is 0.

    A set of one is what that space explains and no other can. Values below 0 mean that spaces
    explain more together than they do apart, or that the estimates are noisy.

    Raises
        SettingsError: a combination is missing.

    Source: commonality analysis, Nimon and Oswald 2013; of BOLD, Lescroart et al. 2015.
    """
    names = sorted(frozenset().union(*r2))
    missing = [set_ for set_ in _subsets(names) if set_ not in r2]
    if missing:
        raise SettingsError(f"R2 of {_said(missing[0])} together is missing: fit that model too.")
    everything = frozenset(names)
    common = {}
    for spaces in _subsets(names):
        without, total = everything - spaces, 0.0
        for chosen in [frozenset(), *_subsets(sorted(spaces))]:
            of = without | chosen
            total = total - (-1) ** len(chosen) * (r2[of] if of else 0.0)
        common[spaces] = np.asarray(total, np.float64)
    return common


def banded_prediction(
    folds: Sequence[Fold],
    spaces: Spaces | Sequence[Spaces],
    fir_s: float = 16.0,
    seed: int = 0,
) -> Float64[np.ndarray, "tr parcel"]:
    """Banded ridge's prediction of every test block, in units of the training TRs' deviation.

    Arguments
        spaces: name -> features (TR, feature); or one such mapping for each fold, where features
            come from networks that were trained on its training TRs.
        fir_s: longest lag in seconds; 0 for features that went through a response.
    """
    study = folds[0].study
    of_fold = [spaces] * len(folds) if isinstance(spaces, Mapping) else spaces
    prediction = np.full((study.clock.n_trs, len(study.parcels)), np.nan)
    for fold, known_of in zip(folds, of_fold, strict=True):
        _, mean = cleaned_bold(study, fold.split, fold.drift_order)
        model = BandedRidge(study.clock.tr_s, fir_s, seed=seed)
        model.fit(known_of, mean, fold.known, study.run_of_tr)
        prediction[fold.test] = model.predict(known_of, fold.test, study.run_of_tr)
    return prediction


def partitioned(
    folds: Sequence[Fold],
    spaces: Spaces | Sequence[Spaces],
    fir_s: float = 16.0,
    seed: int = 0,
) -> dict[frozenset[str], Float64[np.ndarray, " parcel"]]:
    """R2 of held-out BOLD, split by `partition` among feature spaces; each combination is fitted.

    R2 is that of `subtr.experiments.bold_scores.bold_rows`: each test block without its level, on
    both sides.

    Arguments
        as `banded_prediction`; up to ``MOST_SPACES`` spaces, for the models double with each.

    Raises
        SettingsError: more spaces.
    """
    first = spaces if isinstance(spaces, Mapping) else spaces[0]
    if not 1 <= len(first) <= MOST_SPACES:
        raise SettingsError(
            f"{len(first)} feature spaces: expected 1 to {MOST_SPACES}, which take "
            f"{2**MOST_SPACES - 1} models. Put some together."
        )
    first_fold = folds[0]
    splits = [fold.split for fold in folds]
    bold = held_out_bold(first_fold.study, splits, first_fold.drift_order)
    r2 = {}
    for chosen in _subsets(sorted(first)):
        of = _only(spaces, chosen)
        found = banded_prediction(folds, of, fir_s, seed)
        r2[chosen] = r2_score(*(of[bold.trs] for of in bold.centred(found)))
    return partition(r2)


def partition_name(spaces: frozenset[str]) -> str:
    """As tables and figures say it: "word rate alone", "mean mel & word rate"."""
    return f"{next(iter(spaces))} alone" if len(spaces) == 1 else " & ".join(sorted(spaces))


def _only(spaces, chosen: frozenset[str]):
    if isinstance(spaces, Mapping):
        return {name: of for name, of in spaces.items() if name in chosen}
    return [_only(of, chosen) for of in spaces]


def _subsets(names: Sequence[str]) -> list[frozenset[str]]:
    """All but the empty one, small ones first."""
    sizes = range(1, len(names) + 1)
    return [frozenset(of) for size in sizes for of in combinations(names, size)]


def _said(spaces: frozenset[str]) -> str:
    return ", ".join(sorted(spaces))


def trained_folds(experiment: ExperimentData, system: str, seed: int) -> list[Trained]:
    """The predictor of every fold, read where it was trained, else trained now.

    Raises
        SettingsError: the system predicts no BOLD, or follows a teacher.
    """
    params = experiment.system(system).bold
    if params is None or params.teacher is not None:
        raise SettingsError(f"system = {system!r}: expected one with bold and without a teacher.")
    return [fit_fold(fold) for fold in training_folds(experiment, system, "bold", params, seed)]


def held_out(
    experiment: ExperimentData, folds: Sequence[Trained], cutoff_hz: float | None = None
) -> Float64[np.ndarray, "tr parcel"]:
    """Predictions of every test block, mean over heads; NaN where no fold tests.

    Arguments
        cutoff_hz: modulation of the stimulus faster than this is taken out first; the networks
            stay as they were trained.
    """
    study, out = experiment.study, None

    def slowed(frames: np.ndarray) -> np.ndarray:
        return without_fast_changes(frames, study.run_of_tr, study.clock.tr_s, cutoff_hz)

    for split, fold in zip(experiment.splits, folds, strict=True):
        shown = fold.stimulus
        if cutoff_hz is not None:
            shown = altered(shown, study, slowed)
        found = np.mean(list(bold_timeline(fold.predictor, shown, study).values()), axis=0)
        out = np.full(found.shape, np.nan) if out is None else out
        out[split.test] = found[split.test]
    return out


def parcel_gains(
    experiment: ExperimentData,
    prediction: Float64[np.ndarray, "tr parcel"],
    baseline: Float64[np.ndarray, "tr parcel"],
    n_draws: int = 200,
) -> pd.DataFrame:
    """By parcel: r of a prediction and of its baseline, what is gained, and how surely.

    Columns: tuning, ceiling, r, r_baseline, gain, low, high (95 %, block bootstrap of the same
    volumes), p (r against the prediction shifted along in time by 16 s or more), q (p over parcels,
    Benjamini and Hochberg).
    """
    bold = experiment.held_out
    trs = bold.trs
    ours, theirs = (bold.scored(of)[trs] for of in (prediction, baseline))
    measured = bold.mean[trs]

    def gain(chosen=slice(None)):
        return pearson_r(ours[chosen], measured[chosen]) - pearson_r(
            theirs[chosen], measured[chosen]
        )

    interval = block_bootstrap(gain, len(trs), block_trs(len(trs), bold.tr_s), n_boot=n_draws)
    r, null = held_out_shift_null(prediction, bold.mean, bold.tests, bold.tr_s)
    p = np.asarray(permutation_p(r, null))
    return pd.DataFrame(
        {
            "tuning": bold.groups.to_numpy(),
            "ceiling": bold.ceiling,
            "r": r,
            "r_baseline": pearson_r(theirs, measured),
            "gain": gain(),
            "low": interval.low,
            "high": interval.high,
            "p": p,
            "q": false_discovery_q(p),
        },
        index=experiment.study.parcels.index,
    )


def timescales(
    experiment: ExperimentData, folds: Sequence[Trained], cutoffs_hz: Iterable[float]
) -> pd.DataFrame:
    """Held-out r by class of parcels when the stimulus changes no faster than each cut-off.

    Where a curve stops rising, faster modulation adds nothing for these parcels, as the network
    uses it. Columns: cutoff_hz (infinite: all of it), group, r, ceiling.
    """
    bold, rows = experiment.held_out, []
    half = experiment.study.clock.frames_per_tr / experiment.study.clock.tr_s / 2
    for cutoff_hz in [*(hz for hz in cutoffs_hz if hz < half), None]:
        r = pearson_r(bold.scored(held_out(experiment, folds, cutoff_hz)), bold.mean)
        for group in dict.fromkeys(bold.groups):
            chosen = bold.groups.eq(group).to_numpy()
            row = {"cutoff_hz": np.inf if cutoff_hz is None else cutoff_hz, "group": group}
            rows.append(
                row | {"r": known_mean(r[chosen]), "ceiling": known_mean(bold.ceiling[chosen])}
            )
    return pd.DataFrame(rows)


def explained(
    experiment: ExperimentData,
    folds: Sequence[Trained],
    features: Sequence[str] = ("mean mel", "onset flux", "word rate"),
) -> pd.DataFrame:
    """R2 of held-out BOLD split among features of each TR and the learned vectors.

    Arguments
        features: of those that the study has; see `subtr.models.ridge.ridge_features`.

    Columns: part ("learned vectors alone", "mean mel & learned vectors", ...), group, r2.
    """
    study, bold = experiment.study, experiment.held_out
    known = {name: of for name, of in ridge_features(study).items() if name in features}
    spaces = [
        known | {"learned vectors": tr_vectors(fold.predictor, fold.stimulus, study)}
        for fold in folds
    ]
    fir_s = 0.0 if study.hrf_applied else 16.0
    found = partitioned(experiment.folds, spaces, fir_s)
    rows = [
        {"part": partition_name(part), "group": group}
        | {"r2": known_mean(of[bold.groups.eq(group).to_numpy()])}
        for part, of in found.items()
        for group in dict.fromkeys(bold.groups)
    ]
    return pd.DataFrame(rows)


@torch.no_grad()
def tr_vectors(
    predictor: BoldPredictor, stimulus: Stimulus, study: Study
) -> Float64[np.ndarray, "tr dim"]:
    """The vectors that all members make of every TR, side by side."""
    vectors = []
    for run in np.unique(study.run_of_tr):
        chosen = torch.as_tensor(np.flatnonzero(study.run_of_tr == run))
        parts = {name: of[chosen][None] for name, of in parts_of(stimulus).items()}
        each = predictor.vectors(stimulus_of(parts))
        vectors.append(rearrange(each, "member one tr dim -> (one tr) (member dim)"))
    return torch.cat(vectors).double().numpy()
