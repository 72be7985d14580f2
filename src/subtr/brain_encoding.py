"""What trained predictors say of parcels: who gains from time within the TR, and from which."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from jaxtyping import Float64

from subtr.datasets.study import Study
from subtr.experiment_data import ExperimentData
from subtr.metrics.bold import known_mean, pearson_r
from subtr.metrics.inference import (
    block_bootstrap,
    false_discovery_q,
    held_out_shift_null,
    permutation_p,
)
from subtr.models.batches import Stimulus, altered, parts_of, stimulus_of, without_fast_changes
from subtr.models.encoding_model import BoldPredictor
from subtr.models.ridge import ridge_features
from subtr.params import SettingsError
from subtr.scoring import block_trs
from subtr.system_training import training_folds
from subtr.training.encoding_models import Trained, bold_timeline, fit_fold
from subtr.variance_partition import partition_name, partitioned


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
    rival: Float64[np.ndarray, "tr parcel"],
    n_draws: int = 200,
) -> pd.DataFrame:
    """By parcel: r of a prediction and of its rival, what is gained, and how surely.

    Columns: tuning, ceiling, r, r_rival, gain, low, high (95 %, block bootstrap of the same
    volumes), p (r against the prediction shifted along in time by 16 s or more), q (p over parcels,
    Benjamini and Hochberg).
    """
    bold = experiment.held_out
    trs = bold.trs
    ours, theirs = (bold.scored(of)[trs] for of in (prediction, rival))
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
            "r_rival": pearson_r(theirs, measured),
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
