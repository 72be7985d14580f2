"""Film to BOLD: trains a predictor on each fold, and predicts what it has not met."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64

from subtr.bold_params import BoldParams
from subtr.bold_stimulus import standardised_frames
from subtr.bold_training import fit_fold
from subtr.datasets.held_out import bold_of_activity, labelled_bold, labelled_trs
from subtr.datasets.study import Fold, Study
from subtr.metrics.bold import calibrated
from subtr.metrics.inference import phase_randomised_frames, shuffle_frames
from subtr.models.batches import Stimulus, altered, parts_of, stimulus_of
from subtr.models.encoding_model import BoldPredictor
from subtr.models.ridge import ridge_features, ridge_prediction

__all__ = [
    "BoldParams",
    "predict_bold",
    "ridge_features",
    "ridge_prediction",
    "standardised_frames",
]


def predict_bold(
    folds: list[Fold],
) -> tuple[dict[str, Float64[np.ndarray, "tr parcel"]], pd.DataFrame]:
    """Held-out predictions of every test block, each by a network that never met it.

    Arguments
        folds: of one study, as `fit_fold` takes them.

    Returns
        "mean" (all frames in order), "calibrated" (the same in the units of z-scored BOLD, by the
        validation TRs), "frames shuffled" (the same networks, given each TR's frames and pictures
        in random order), "phases randomised" (given a stimulus of the same spectrum and random
        phases), and with heads of their own each subject -> prediction (TR, parcel), NaN at TRs
        that no fold tests; and the history of all trainings, with a column ``fold``.

    Raises
        SettingsError: the study lacks what is to be predicted from, or the teacher is missing.
    """
    study = folds[0].study
    shape = (study.clock.n_trs, len(study.parcels))
    predictions: dict[str, np.ndarray] = {}
    histories, spent_s = [], 0.0
    for index, fold in enumerate(folds):
        split, params, seed = fold.split, fold.params, fold.seed
        predictor, stimulus, history = fit_fold(fold)
        spent_s += history.attrs["training time_s"]
        histories.append(history.assign(fold=index))
        found = bold_timeline(predictor, stimulus, study)
        mixed = bold_timeline(predictor, _shuffled(stimulus, seed), study)
        surrogate = bold_timeline(predictor, _phase_randomised(stimulus, study, seed), study)
        labelled = labelled_trs(split, params.labelled_fraction, study, seed)
        bold = labelled_bold(fold, labelled)[1]
        found |= {"mean": _mean_of(found)}
        found["calibrated"] = calibrated(found["mean"], bold, split.validation)
        found |= {"frames shuffled": _mean_of(mixed), "phases randomised": _mean_of(surrogate)}
        for name, prediction in found.items():
            predictions.setdefault(name, np.full(shape, np.nan))
            predictions[name][split.test] = prediction[split.test]
    history = pd.concat(histories, ignore_index=True)
    history.attrs["training time_s"] = spent_s
    return predictions, history


@torch.no_grad()
def bold_timeline(
    predictor: BoldPredictor, stimulus: Stimulus, study: Study
) -> dict[str, Float64[np.ndarray, "tr parcel"]]:
    """BOLD of the whole study, run by run, by head; of what predicts activity, what it leads to."""
    out: dict[str, np.ndarray] = {}
    for run in np.unique(study.run_of_tr):
        (trs,) = np.nonzero(study.run_of_tr == run)
        chosen = torch.as_tensor(trs)
        of_run = stimulus_of({name: of[chosen][None] for name, of in parts_of(stimulus).items()})
        for name, bold in predictor(of_run).items():
            out.setdefault(name, np.full((study.clock.n_trs, bold.shape[-1]), np.nan))
            out[name][trs] = bold[0].double().numpy()
    if predictor.undone_response is not None:
        how = (study.clock.tr_s, predictor.undone_response, study.run_of_tr)
        out = {name: bold_of_activity(activity, *how) for name, activity in out.items()}
    return out


def _shuffled(stimulus: Stimulus, seed: int) -> Stimulus:
    return stimulus_of(
        {
            name: torch.from_numpy(shuffle_frames(of.numpy(), seed))
            for name, of in parts_of(stimulus).items()
        }
    )


def _phase_randomised(stimulus: Stimulus, study: Study, seed: int) -> Stimulus:
    return altered(
        stimulus, study, lambda bare: phase_randomised_frames(bare, study.run_of_tr, seed)
    )


def _mean_of(predictions: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.mean(list(predictions.values()), axis=0)
