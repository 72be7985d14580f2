"""Less BOLD than film: a part of the training time has BOLD, all of it has its stimulus."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int64

from subtr.held_out_bold import cleaned_bold
from subtr.params import SettingsError
from subtr.study import Fold, Study
from subtr.timeline import HRF_DURATION_S, Split, consecutive


def labelled_trs(split: Split, fraction: float, study: Study, seed: int) -> Int64[np.ndarray, " _"]:
    """Training TRs whose BOLD may be learned from: one block of each stretch of training.

    Arguments
        fraction: share of the training TRs, in each stretch alike; 1 gives all of them.
        seed: of where in its stretch each block lies.

    Raises
        SettingsError: the blocks together are shorter than a haemodynamic response.
    """
    if fraction == 1:
        return split.train
    stretches = consecutive(split.train, study.run_of_tr)
    # Rounded as a running sum, so that their total is exact.
    edges = np.rint(fraction * np.cumsum([0, *map(len, stretches)])).astype(int)
    rng = np.random.default_rng([seed, 37])
    blocks = []
    for stretch, n_trs in zip(stretches, np.diff(edges), strict=True):
        first = rng.integers(len(stretch) - n_trs + 1)
        blocks.append(stretch[first : first + n_trs])
    chosen = np.concatenate(blocks)
    tr_s = study.clock.tr_s
    if len(chosen) * tr_s < HRF_DURATION_S:
        raise SettingsError(
            f"labelled_fraction = {fraction:g}: {len(chosen) * tr_s:g} s of "
            f"{len(split.train) * tr_s:g} s of training, expected at least {HRF_DURATION_S:g} s."
        )
    return chosen


def labelled_bold(
    fold: Fold, labelled: Int64[np.ndarray, " _"]
) -> tuple[dict[str, Float64[np.ndarray, "tr parcel"]], Float64[np.ndarray, "tr parcel"]]:
    """BOLD without drift and z-scored as by `cleaned_bold`; NaN where it may not be learned from.

    Drift, means and deviations are those of the labelled TRs. Far from them that drift means
    nothing, so where not all of training is labelled, the validation TRs are cleaned by their own.

    Arguments
        labelled: see `labelled_trs`.
    """
    study, split, drift_order = fold.study, fold.split, fold.drift_order
    subjects, mean = cleaned_bold(study, replace(split, train=labelled), drift_order)
    if len(labelled) == len(split.train):
        return subjects, mean
    own_split = replace(split, train=split.validation)
    own_subjects, own_mean = cleaned_bold(study, own_split, drift_order)
    allowed = np.zeros((study.clock.n_trs, 1), bool)
    allowed[labelled] = True
    checked = np.zeros_like(allowed)
    checked[split.validation] = True

    def joined(learned, own):
        return np.where(checked, own, np.where(allowed, learned, np.nan))

    each = {name: joined(of, own_subjects[name]) for name, of in subjects.items()}
    return each, joined(mean, own_mean)
