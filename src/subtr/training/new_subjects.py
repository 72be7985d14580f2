"""A subject whom no network was trained on: the others' trunk, and a head of the subject's own.

The trunk never meets the new subject, nor anybody's BOLD of the test TRs; the head is fitted in
closed form on the new subject's training TRs.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from himalaya.backend import set_backend
from himalaya.ridge import RidgeCV
from jaxtyping import Float, Float64, Int64

from subtr.bold.alignment import FunctionalAlignment
from subtr.datasets.held_out import cleaned_bold, labelled_trs
from subtr.datasets.study import Fold, Study
from subtr.models.batches import Stimulus, runs_of
from subtr.models.encoding_model import BoldPredictor
from subtr.models.ridge import DEFAULT_ALPHAS, nested_blocks
from subtr.params import SettingsError, StudyError
from subtr.timeline import Split
from subtr.training.encoding_models import bold_timeline, fit_fold
from subtr.training.systems import NewSubjectParams

# Departures from the shared head are penalised a hundred times as much as its gain.
_SHARED_SCALE = 10.0

_GAP_S = 16.0


class Shared(NamedTuple):
    """What a trunk gives of a stimulus to whom it never met.

    ``features`` (feature, TR, parcel): what a head weighs, see `BoldReadout.head_features`.
    ``bold`` (TR, parcel): mean of the heads of those it was trained on.
    """

    features: np.ndarray
    bold: np.ndarray


def leave_one_subject_out(
    folds: list[Fold],
    options: NewSubjectParams = NewSubjectParams(),  # noqa: B008
) -> dict[str, dict[str, Float64[np.ndarray, "tr parcel"]]]:
    """Held-out predictions of each subject in turn, by a trunk trained on all others.

    Arguments
        folds: as `fit_fold` takes them, of all subjects; checkpoints lie in a folder of each fold's
            for each subject left out. A teacher would have met whom the trunk must not meet, so
            none is followed.

    Returns
        "new head", "shared head" (nothing was fitted to the new subject) and, with an alignment,
        "aligned" -> subject -> prediction (TR, parcel), NaN at TRs that no fold tests.

    Raises
        StudyError: a study of one subject.
        SettingsError: a ``head_fraction`` that leaves less than a haemodynamic response.
    """
    study = folds[0].study
    if len(study.subjects) < 2:
        raise StudyError(
            f"{study.name} has {len(study.subjects)} subject(s): leaving one out needs two or more."
        )
    shape = (study.clock.n_trs, len(study.parcels))
    found: dict[str, dict[str, np.ndarray]] = {}
    for subject in study.subjects:
        others = study.of_subjects(*(name for name in study.subjects if name != subject))
        for fold in folds:
            split, drift_order = fold.split, fold.drift_order
            place = fold.folder / f"without_{study.subjects.index(subject)}"
            said = f"{fold.label} without {subject}"
            trained = fit_fold(fold.using(study=others, folder=place, label=said, teacher=None))
            shared = shared_of(trained.predictor, trained.stimulus, study)
            trs = _scanned_trs(split, options.head_fraction, study, fold.seed)
            known = Split(trs, split.validation, split.test)
            own = cleaned_bold(study.of_subjects(subject), known, drift_order)[0][subject]
            of = {
                "new head": head_prediction(shared, own, trs, study.clock.tr_s),
                "shared head": shared.bold,
            }
            if options.alignment is not None:
                group = cleaned_bold(others, known, drift_order)[1]
                alignment = FunctionalAlignment(options.alignment).fit(group, own, trs)
                of["aligned"] = alignment.transform(shared.bold)
            for name, prediction in of.items():
                by_subject = found.setdefault(name, {})
                by_subject.setdefault(subject, np.full(shape, np.nan))
                by_subject[subject][split.test] = prediction[split.test]
    return found


@torch.no_grad()
def shared_of(predictor: BoldPredictor, stimulus: Stimulus, study: Study) -> Shared:
    """What a trained network has for anybody: its vectors through its responses, run by run."""
    n_trs = study.clock.n_trs
    features: np.ndarray | None = None
    for trs, of_run in runs_of(stimulus, study.run_of_tr):
        vectors = predictor.vectors(of_run)[:, 0]
        of_members = [
            readout.head_features(vector)
            for readout, vector in zip(predictor.readouts, vectors, strict=True)
        ]
        weighed = torch.cat(of_members).double().numpy()
        if features is None:
            features = np.full((len(weighed), n_trs, weighed.shape[2]), np.nan)
        features[:, trs] = weighed
    heads = bold_timeline(predictor, stimulus, study)
    return Shared(features, np.mean(list(heads.values()), axis=0))


def head_prediction(
    shared: Shared,
    bold: Float[np.ndarray, "tr parcel"],
    train: Int64[np.ndarray, " train"],
    tr_s: float | int,
    n_inner_folds: int = 4,
) -> Float64[np.ndarray, "tr parcel"]:
    """BOLD of all TRs by a head fitted in closed form, parcel by parcel.

    Ridge regression on the trunk's features, in which the prediction of the shared head stands
    once more with a hundredth of the penalty: with little data the new head is the shared one times
    a gain. The penalty is chosen by blocks of time within ``train``, with gaps.

    Arguments
        bold: of the new subject, cleaned; volumes that are NaN are left out, parcel by parcel.
        train: the only TRs whose BOLD is used.

    Returns NaN for parcels with fewer than 10 known volumes.
    """
    set_backend("numpy")
    gap_trs = math.ceil(_GAP_S / tr_s - 1e-9)
    out = np.full(shared.bold.shape, np.nan)
    for parcel in range(out.shape[1]):
        trs = train[np.isfinite(bold[train, parcel])]
        if len(trs) < 10:
            continue
        own = shared.features[:, :, parcel].T
        inputs = np.concatenate([own, shared.bold[:, [parcel]]], axis=1)
        spread = inputs[trs].std(axis=0)
        spread[spread < 1e-12] = np.inf  # what does not vary says nothing
        inputs = (inputs - inputs[trs].mean(axis=0)) / spread
        inputs[:, -1] *= _SHARED_SCALE
        folds = nested_blocks(trs, n_inner_folds, gap_trs)
        ridge = RidgeCV(DEFAULT_ALPHAS, fit_intercept=True, cv=folds)
        ridge.fit(inputs[trs], bold[trs, parcel][:, None])
        out[:, parcel] = ridge.predict(inputs)[:, 0]
    return out


def _scanned_trs(split: Split, fraction: float, study: Study, seed: int) -> np.ndarray:
    try:
        return labelled_trs(split, fraction, study, seed)
    except SettingsError as error:
        said = str(error).replace("label_fraction", "new_subjects.head_fraction")
        raise SettingsError(said) from error
