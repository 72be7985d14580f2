"""Per-TR features through the canonical haemodynamic response, instead of a weight for each lag."""

import numpy as np
from jaxtyping import Float64, Int, Shaped

from subtr.bold.hrf import hrf_kernel
from subtr.metrics.bold import known_mean


def canonical_features(
    features: Shaped[np.ndarray, "tr feature"],
    train: Int[np.ndarray, " _"],
    tr_s: float | int,
    run_of_tr: Int[np.ndarray, " tr"] | None = None,
) -> Float64[np.ndarray, "tr feature"]:
    """Features convolved with the SPM response, run by run.

    A response known beforehand leaves one weight a feature, where minutes of BOLD cannot tell one
    for each lag. What is unknown, such as the stimulus before a run, is taken for the mean of the
    training TRs.

    Arguments
        train: TRs whose means are taken.
    """
    runs = np.zeros(len(features), int) if run_of_tr is None else run_of_tr
    # A feature that no training TR has is NaN, then 0.
    deviation = np.nan_to_num(features - known_mean(features[train], axis=0))
    kernel = hrf_kernel(tr_s)
    out = np.empty(deviation.shape)
    for run in np.unique(runs):
        (trs,) = np.nonzero(runs == run)
        for feature in range(deviation.shape[1]):
            out[trs, feature] = np.convolve(deviation[trs, feature], kernel)[: len(trs)]
    return out
