"""Which feature space explains what of held-out BOLD alone, and what spaces explain together."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float, Float64

from subtr.datasets.held_out import cleaned_bold, held_out_bold
from subtr.datasets.study import Fold
from subtr.metrics.bold import r2_score
from subtr.models.ridge import BandedRidge
from subtr.params import SettingsError

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

    R2 is that of `subtr.bold_scores.bold_rows`: each test block without its level, on both sides.

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
