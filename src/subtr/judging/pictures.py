"""What judges see in pictures of several systems, beside averaging and the original."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Shaped, UInt8

from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing
from subtr.judges.video import paired_boundaries
from subtr.judging.sounds import AVERAGED, ORIGINAL
from subtr.metrics.bold import known_mean
from subtr.metrics.inference import block_bootstrap
from subtr.scoring import Row, block_trs

# Criterion -> the probe that is asked, and the column of a generated film's labels.
PROBES = {"scene": ("scenes", "scene"), "action": ("actions", "action")}
PICTURE_JUDGES = ("frames", "tracking", "shots", *PROBES)

Film = UInt8[np.ndarray, "tr picture height width 3"]
Statistic = Callable[[Shaped[np.ndarray, " tr"]], float]
Asked = Callable[[Film], dict[str, Statistic]]


@dataclass(frozen=True)
class Films:
    """The same consecutive TRs as several systems give them back.

    Arguments
        shown: name -> pictures; "original" is among them, "mean", the floor, holds each TR's.
        tr_s: repetition time in seconds.
        labels: what is known of each TR, such as its "scene"; None where nothing is.
        known: original pictures of training time and their labels, from which probes learn.
        columns: name -> columns of its rows, such as floats_per_tr and seed.
    """

    shown: Mapping[str, Film]
    tr_s: float
    labels: pd.DataFrame | None = None
    known: tuple[UInt8[np.ndarray, "_ picture height width 3"], pd.DataFrame] | None = None
    columns: Mapping[str, Row] = field(default_factory=dict)


def judged_pictures(
    films: Films, judges: Sequence[str] = PICTURE_JUDGES, **labels: Any
) -> list[Row]:
    """A row a system and measure; a judge that is missing is left out with a warning that says why.

    "ssim" and "psnr" compare pictures; "tracking" is the share of boxes that a tracker, let loose
    on the reconstruction, finds where it finds them in the original; "shots" how well boundaries
    agree; "scene" and "action" are accuracies of classifiers of original pictures. Intervals
    resample blocks of 15 s. The ceiling is what the judge says of the original.

    Arguments
        judges: of ``PICTURE_JUDGES``.
        labels: columns of all rows.
    """
    rows = []
    for judge in judges:
        try:
            asked = _ASKED[judge](films)
            found = {} if asked is None else {name: asked(of) for name, of in films.shown.items()}
        except JudgeMissing as error:
            warnings.warn(str(error), stacklevel=2)
            continue
        for name, statistics in found.items():
            if name == ORIGINAL:
                continue
            of = labels | {"modality": "pictures", "system": name}
            of |= dict(films.columns.get(name, {}))
            for metric, statistic in statistics.items():
                row = _row(metric, statistic, films)
                for end, system in (("floor", AVERAGED), ("ceiling", ORIGINAL)):
                    if system in found:
                        everything = np.arange(len(films.shown[ORIGINAL]))
                        row[end] = float(found[system][metric](everything))
                rows.append(of | row)
    return rows


def _row(metric: str, statistic: Statistic, films: Films) -> Row:
    n_trs = len(films.shown[ORIGINAL])
    low, high = block_bootstrap(statistic, n_trs, block_trs(n_trs, films.tr_s), 300)
    return {"metric": metric, "value": float(statistic(np.arange(n_trs))), "low": low, "high": high}


def _frames(films: Films) -> Asked:
    judge = load_judge("frames")

    def asked(film: Film) -> dict[str, Statistic]:
        measures = judge.per_tr(films.shown[ORIGINAL], film)
        return {name: _mean_of(measures[name]) for name in ("ssim", "psnr")}

    return asked


def _tracking(films: Films) -> Asked | None:
    judge, original = load_judge("tracking"), films.shown[ORIGINAL]
    n_trs, n_pictures = original.shape[:2]
    tracks = judge.reference_tracks(_joined(original), n_pictures)

    def asked(film: Film) -> dict[str, Statistic]:
        return {"tracking": _share(judge.follow(_joined(film), tracks).per_tr(n_trs, n_pictures))}

    return asked if tracks else None


def _shots(films: Films) -> Asked | None:
    judge, original = load_judge("shots"), films.shown[ORIGINAL]
    n_trs, n_pictures = original.shape[:2]
    known = judge.boundaries(_joined(original))

    def asked(film: Film) -> dict[str, Statistic]:
        found = judge.boundaries(_joined(film))
        # Both ends of a pair count, each in its own TR, so that no share of TRs can pass 1.
        pairs = found[paired_boundaries(found, known)], known[paired_boundaries(known, found)]
        kept, whole = (
            sum(np.bincount(of // n_pictures, minlength=n_trs) for of in ends)
            for ends in (pairs, (found, known))
        )
        return {"shots": _share(np.stack([kept, whole], axis=1))}

    return asked if len(known) else None


def _probe(criterion: str) -> Callable[[Films], Asked | None]:
    name, column = PROBES[criterion]

    def learn(films: Films) -> Asked | None:
        judge = load_judge(name)
        if films.labels is None or films.known is None or column not in films.labels:
            return None
        pictures, known = films.known
        learned, said = judge.learn(pictures, known[column].to_numpy()), films.labels[column]

        def asked(film: Film) -> dict[str, Statistic]:
            return {criterion: _mean_of(learned.right(film, said.to_numpy()).astype(float))}

        return asked

    return learn


def _joined(film: Film) -> UInt8[np.ndarray, "_ height width 3"]:
    return film.reshape(-1, *film.shape[2:])


def _share(counts: Shaped[np.ndarray, "_ 2"]) -> Statistic:
    """The first of the counts over the second, summed over TRs."""

    def share(trs) -> float:
        kept, whole = counts[trs].sum(axis=0)
        return float(kept / whole) if whole else float("nan")

    return share


def _mean_of(values: np.ndarray) -> Statistic:
    return lambda trs: known_mean(values[trs])


_ASKED = {"frames": _frames, "tracking": _tracking, "shots": _shots}
_ASKED |= {criterion: _probe(criterion) for criterion in PROBES}
