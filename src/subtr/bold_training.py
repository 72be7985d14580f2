"""Trains a predictor of BOLD on one fold: what it is shown, asked for, and whom it follows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from subtr.bold_augmentation import batches_of_epoch
from subtr.bold_params import BoldParams
from subtr.bold_stimulus import (
    bold_predictor,
    bold_stimulus,
    standardised_frames,
    standardised_pictures,
)
from subtr.datasets.held_out import deconvolved_study, labelled_bold, labelled_trs
from subtr.datasets.study import Fold, Study
from subtr.distillation import Distiller, Pair, distillation_loss, follow_predictor
from subtr.fitting import Fitting
from subtr.losses import Diagnostics, bold_loss
from subtr.models.batches import Batch, Stimulus, parts_of, stimulus_of, timeline_batch
from subtr.models.encoding_model import BoldPredictor
from subtr.params import SettingsError
from subtr.pretraining import pretrain_members
from subtr.timeline import Split, consecutive
from subtr.training import fit


class Trained(NamedTuple):
    """A predictor in eval mode, all that it is shown of the study, and how it was trained."""

    predictor: BoldPredictor
    stimulus: Stimulus
    history: pd.DataFrame


def fit_fold(fold: Fold) -> Trained:
    """Trains it, or reads it from the fold's folder.

    Arguments
        fold: its ``params`` are `BoldParams`; its ``teacher``, where they ask for one, is a fold of
            the system to follow, trained there if it has not been. Its time is no part of the
            history.

    Raises
        SettingsError: as `bold_stimulus`, `deconvolved_study` and `_taught`.
    """
    study, split, params, seed = fold.study, fold.split, fold.params, fold.seed
    taught = _taught(fold)
    labelled = labelled_trs(split, params.labelled_fraction, study, seed)
    activity = fold if params.deconvolve is None else fold.using(study=deconvolved_study(fold))
    subjects, mean = labelled_bold(activity, labelled)
    targets = {"mean": mean} if params.target == "mean" else subjects
    bold = {name: torch.tensor(of, dtype=torch.float32) for name, of in targets.items()}
    stimulus = bold_stimulus(study, split, params)
    torch.manual_seed(seed)
    predictor = bold_predictor(study, params)
    learner: nn.Module = predictor if taught is None else _distiller(predictor, taught[0])
    started, before_s = [], 0.0
    if params.pretraining is not None:
        if study.frames is not None:
            bare = standardised_frames(study, split, 0, params.n_bands, params.features)
        else:
            bare = standardised_pictures(study, split, params.pictures, context=False)
        started, before_s = pretrain_members(
            fold.using(params=params.pretraining, folder=fold.folder / "pretraining"),
            predictor.encoder_parts(),
            bare,
            _targets(study, split, params),
        )

    def items(shown: Stimulus, trs, bold: dict[str, Tensor]) -> Batch:
        stretches, lead = consecutive(trs, study.run_of_tr), predictor.n_lead_trs
        more = (lead, params.item_trs, predictor.n_after_trs)
        return timeline_batch(shown, bold, stretches, study.run_of_tr, *more)

    # The stimulus of all training TRs is known, so a teacher can be followed in all of them.
    learned = labelled if taught is None else split.train
    train = items(stimulus, learned, bold)
    if taught is not None:
        train["teacher"] = parts_of(stimulus_of(items(taught[1], learned, {})))
    batches = batches_of_epoch(fold, train, stimulus)
    fitting = Fitting(
        learner,
        _objective(params),
        batches,
        [items(stimulus, split.validation, bold)],
        params.training,
        seed,
        started,
    )
    history = fit(fitting, fold.folder, fold.label)
    history.attrs["training time_s"] += before_s
    return Trained(predictor.eval(), stimulus, history)


def _targets(study: Study, split: Split, params: BoldParams) -> Tensor | None:
    """What pre-training draws in the place of the stimulus, if it does."""
    if params.pretraining.target == "stimulus":
        return None
    if study.mel is None or study.features is None:
        raise SettingsError(
            f"pretraining.target = 'features': {study.name} lacks sound or features. Give its "
            "study file speech_features, or redraw the stimulus."
        )
    return standardised_frames(replace(study, mel=None), split)


def load_weights(predictor: BoldPredictor, folder: Path) -> None:
    """Puts the best weights of a finished training into it, those of a student too."""
    state = torch.load(folder / "best.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    names = {name: name.removeprefix("model.").removeprefix("student.") for name in state}
    # What lies between a student and its teacher is left out.
    kept = {names[name]: of for name, of in state.items() if not names[name].startswith("maps.")}
    predictor.load_state_dict(kept)
    predictor.eval()


def _objective(params: BoldParams) -> Callable[[nn.Module, Batch], tuple[Tensor, Diagnostics]]:
    def task(found, wanted) -> tuple[Tensor, Diagnostics]:
        return bold_loss(found, wanted, params.loss)

    def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Diagnostics]:
        shown, pair = stimulus_of(batch), None
        if isinstance(model, Distiller) and model.training:
            pair = model(shown, stimulus_of(batch["teacher"]))
            outputs = pair.student_output
        else:
            student = model.student if isinstance(model, Distiller) else model
            outputs = student.each(shown)
        # Each member learns by itself; it is their mean that predicts.
        each = [task(one, batch["bold"]) for one in outputs]
        loss = torch.stack([value for value, _ in each]).mean()
        named = {"r": torch.stack([named["r"] for _, named in each]).mean()}
        if pair is None:
            return loss, named
        how = (params.teacher.vector_weight, params.teacher.output_weight)
        followed, more = distillation_loss(_asked(pair, batch), task, *how)
        return loss + followed, named | more

    return objective


def _asked(pair: Pair, batch: Batch) -> Pair:
    """Of the training TRs alone, as items hold others before and after; and of parcels with BOLD.

    What a teacher says of a parcel that it has no BOLD of is noise.
    """
    asked, outputs = batch["wanted"], []
    for output in pair.teacher_output:
        kept = {}
        for name, of in output.items():
            measured = batch["bold"].get(name, of).isfinite().any((0, 1))
            kept[name] = torch.where(asked[..., None] & measured, of, torch.nan)
        outputs.append(kept)
    vectors = [of[:, asked][:, None] for of in (pair.student_vectors, pair.teacher_vectors)]
    return Pair(vectors[0], pair.student_output, vectors[1], outputs)


def _distiller(predictor: BoldPredictor, teacher: BoldPredictor) -> Distiller:
    sizes = [model.readouts[0].dim for model in (predictor, teacher)]
    members = [len(model.streams) for model in (predictor, teacher)]
    return Distiller(predictor, teacher, follow_predictor, *sizes, *members)


def _taught(fold: Fold) -> tuple[BoldPredictor, Stimulus] | None:
    """The teacher and what it is shown; None without one. SettingsError where it is missing."""
    params, teacher = fold.params, fold.teacher
    if params.teacher is None:
        return None
    name = params.teacher.teacher
    if teacher is None:
        raise SettingsError(
            f"teacher = {name!r}: it has not been trained, and its parameters are not given."
        )
    theirs, folder = teacher.params, teacher.folder
    if theirs.deconvolve != params.deconvolve:
        raise SettingsError(
            f"teacher = {name!r}: expected the student's deconvolve, for activity and BOLD cannot "
            "follow one another; give both the same."
        )
    if (folder / "done.json").exists():
        predictor = bold_predictor(teacher.study, theirs)
        load_weights(predictor, folder)
        return predictor, bold_stimulus(teacher.study, teacher.split, theirs)
    if theirs.teacher is not None and teacher.teacher is None:
        raise SettingsError(
            f"teacher = {name!r}: it follows {theirs.teacher.teacher!r} and is not trained in "
            f"{folder}; train {name!r} first."
        )
    return fit_fold(teacher)[:2]
