"""Vectors learned from other BOLD, such as simulated, and a linear readout for the study's own.

Minutes of BOLD are too few to learn an encoder from. One that was trained where hours, or known
truth, can be had is kept as it is; the study itself pays for the readout alone.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float64, Int

from subtr.altered_stimulus import altered
from subtr.baselines import FirRidge, canonical_features
from subtr.baselines.ridge import nested_blocks
from subtr.bold.hrf import HRF_DURATION_S
from subtr.bold_params import BoldParams
from subtr.bold_stimulus import bold_stimulus
from subtr.errors import SettingsError
from subtr.held_out_bold import cleaned_bold
from subtr.items import Stimulus, parts_of, stimulus_of
from subtr.metrics import known_mean, pearson_r
from subtr.models import BoldPredictor
from subtr.splits import Split
from subtr.study import Study

Features = Float64[np.ndarray, "tr dim"]


@torch.no_grad()
def tr_vectors(predictor: BoldPredictor, stimulus: Stimulus, study: Study) -> Features:
    """The vectors that all members make of every TR, side by side."""
    vectors = []
    for run in np.unique(study.run_of_tr):
        chosen = torch.as_tensor(np.flatnonzero(study.run_of_tr == run))
        parts = {name: of[chosen][None] for name, of in parts_of(stimulus).items()}
        each = predictor.vectors(stimulus_of(parts))
        vectors.append(rearrange(each, "member one tr dim -> (one tr) (member dim)"))
    return torch.cat(vectors).double().numpy()


def transferred_vectors(
    study: Study,
    splits: Sequence[Split],
    predictor: BoldPredictor,
    params: BoldParams,
    trained_frame_hz: float | int,
    change: Callable[[np.ndarray], np.ndarray] | None = None,
) -> list[Features]:
    """For each split, vectors of all TRs by a predictor of another study; the study's own TR holds.

    Only the scale of the stimulus is the study's, fitted on the split's training TRs.

    Arguments
        predictor, params: as trained.
        trained_frame_hz: frames a second of the study that it was trained on.
        change: of the frames of all TRs before they are shown, such as
            `subtr.metrics.shuffle_frames`.

    Raises
        SettingsError: frames are more than 5 % longer or shorter than those it was trained on.
    """
    frame_hz = study.clock.frames_per_tr / study.clock.tr_s
    if abs(frame_hz / trained_frame_hz - 1) > 0.05:
        wanted = round(trained_frame_hz * study.clock.tr_s)
        raise SettingsError(
            f"frames_per_tr = {study.clock.frames_per_tr}: {frame_hz:.1f} frames a second, but the "
            f"network was trained at {trained_frame_hz:.1f}; load {study.name} with {wanted}."
        )
    predictor.tr_s, vectors = study.clock.tr_s, []
    for split in splits:
        stimulus = bold_stimulus(study, split, params)
        if change is not None:
            stimulus = altered(stimulus, study, change)
        vectors.append(tr_vectors(predictor.eval(), stimulus, study))
    return vectors


def read_out(
    study: Study,
    splits: Sequence[Split],
    features: Sequence[Features],
    drift_order: int,
    shown: Sequence[Features] | None = None,
) -> Float64[np.ndarray, "tr parcel"]:
    """Held-out BOLD by ridge on features behind the canonical response.

    Arguments
        features: of each split.
        shown: what the same networks make of another stimulus, such as one with shuffled frames,
            for the fitted weights to predict from instead.
    """
    prediction = np.full((study.clock.n_trs, len(study.parcels)), np.nan)
    for split, of, then in zip(splits, features, shown or features, strict=True):
        known, bold = split.known, cleaned_bold(study, split, drift_order)[1]
        prediction[split.test] = _ridge(study, of, bold, known, split.test, then)
    return prediction


def chosen_within(
    study: Study,
    splits: Sequence[Split],
    candidates: Mapping[str, Sequence[Features]],
    drift_order: int,
    n_inner_folds: int = 4,
) -> tuple[Float64[np.ndarray, "tr parcel"], list[str]]:
    """Nested cross-validation: each test block is predicted by what was best in its training TRs.

    Arguments
        candidates: name -> features of each split.
        n_inner_folds: blocks of training and validation TRs that candidates are compared by, kept
            apart by gaps as long as the response.

    Returns
        Held-out BOLD, and the name of the candidate chosen for each split.
    """
    prediction, names = np.full((study.clock.n_trs, len(study.parcels)), np.nan), []
    gap_trs = int(np.ceil(HRF_DURATION_S / study.clock.tr_s))
    for fold, split in enumerate(splits):
        known, bold = split.known, cleaned_bold(study, split, drift_order)[1]
        inner = nested_blocks(known, n_inner_folds, gap_trs)
        scores = {
            name: np.mean([_inner_r(study, of[fold], bold, known, *block) for block in inner])
            for name, of in candidates.items()
        }
        names.append(max(scores, key=scores.get))
        features = candidates[names[-1]][fold]
        prediction[split.test] = _ridge(study, features, bold, known, split.test)
    return prediction, names


def _inner_r(study, features, bold, known, fit: Int[np.ndarray, " _"], held) -> float:
    found = _ridge(study, features, bold, known[fit], known[held])
    return float(np.nan_to_num(known_mean(pearson_r(found, bold[known[held]]))))


def _ridge(study, features, bold, learned, asked, shown=None) -> np.ndarray:
    """Without the response, where the BOLD of the study lies beside its stimulus already."""
    tr_s, runs = study.clock.tr_s, study.run_of_tr
    seen = [features, features if shown is None else shown]
    if not study.hrf_applied:
        seen = [canonical_features(of, learned, tr_s, runs) for of in seen]
    return FirRidge(tr_s, 0.0).fit(seen[0], bold, learned, runs).predict(seen[1], asked, runs)
