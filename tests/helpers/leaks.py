"""Checks that nothing held out reaches what is learned: of splits, and of what is fitted."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int64

from subtr.params import StudyError
from subtr.timeline import Split


def assert_no_leak(
    split: Split, tr_s: float, gap_s: float, run_of_tr: Int64[np.ndarray, " tr"] | None = None
) -> None:
    """Checks that no two parts share a TR or come closer than ``gap_s`` within a run.

    Raises
        StudyError: naming the parts, the TRs and the seconds between them.
    """
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    n_trs = 1 + max(int(part.max()) for part in parts.values() if len(part))
    runs = np.zeros(n_trs, np.int64) if run_of_tr is None else run_of_tr
    for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
        for run in np.unique(runs):
            a, b = (part[runs[part] == run] for part in (parts[one], parts[other]))
            if not (len(a) and len(b)):
                continue
            apart = np.abs(a[:, None] - b[None, :])
            i, j = np.unravel_index(np.argmin(apart), apart.shape)
            between_s = max(int(apart[i, j]) - 1, 0) * tr_s
            if apart[i, j] == 0 or between_s < gap_s - 1e-6:
                raise StudyError(
                    f"leak: {one} TR {a[i]} and {other} TR {b[j]} are {between_s:g} s apart, "
                    f"expected at least {gap_s:g} s. Use Study.splits(gap_s={gap_s:g})."
                )


def assert_fitted_on_train(
    prepare: Callable[[np.ndarray, Split], np.ndarray],
    values: Float[np.ndarray, "tr value"],
    split: Split,
) -> None:
    """Checks that what ``prepare`` makes of the training TRs does not depend on any other TR.

    Values of all other TRs are replaced by others; a mean, a variance, a component or a trend that
    was fitted on them changes what becomes of the training TRs.

    Arguments
        prepare: gets values and split; gives values of the same TRs.
        values: anything with one row a TR.

    Raises
        StudyError: the training TRs came out differently.
    """
    changed = values.copy()
    others = np.setdiff1d(np.arange(len(values)), split.train)
    changed[others] = values[others] * -3 + 10 * (1 + np.nanstd(values))
    before, after = prepare(values, split)[split.train], prepare(changed, split)[split.train]
    if not np.allclose(before, after, equal_nan=True):
        raise StudyError(
            "leak: training values change when held-out values do, so a statistic was fitted on "
            "all data. Fit it on split.train only."
        )
