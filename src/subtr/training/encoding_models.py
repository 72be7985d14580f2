"""Trains a predictor of BOLD on one fold, and predicts what it has not met."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from einops import rearrange
from jaxtyping import Float, Float64
from torch import Generator, Tensor, nn

from subtr.datasets.held_out import bold_of_activity, deconvolved_study, labelled_bold, labelled_trs
from subtr.datasets.study import Fold, Study
from subtr.metrics.bold import calibrated
from subtr.metrics.inference import phase_randomised_frames, shuffle_frames
from subtr.models.batches import (
    Batch,
    ChangedBatches,
    SoundAndPictures,
    Stimulus,
    altered,
    epoch_seed,
    parts_of,
    runs_of,
    stimulus_of,
    timeline_batch,
    with_context,
)
from subtr.models.encoding_model import BoldPredictor, readout_of
from subtr.models.stream import PictureStreamParams
from subtr.params import SettingsError
from subtr.timeline import Split, consecutive
from subtr.training.augmentation import augment
from subtr.training.distillation import Distiller, Pair, distillation_loss, follow_predictor
from subtr.training.fit import Fitting, fit
from subtr.training.losses import Diagnostics, bold_loss
from subtr.training.pretraining import pretrain_members
from subtr.training.systems import BoldParams


def standardised_frames(
    study: Study,
    split: Split,
    context_frames: int = 0,
    n_bands: int | None = None,
    features: bool = False,
) -> Float[Tensor, "tr wider channel"]:
    """Log-mel, each band brought to mean 0 and variance 1 on the training TRs, with context.

    Of a study without sound, its features; ``features`` puts them behind the bands of one with
    sound. They have no neighbours to be averaged with, so ``n_bands`` is for sound alone.

    Raises
        SettingsError: more bands than the log-mel has, or no features to be shown.
    """
    frames = np.asarray(study.frames, dtype=np.float32)
    if n_bands is not None and study.mel is not None:
        if n_bands > frames.shape[-1]:
            raise SettingsError(f"n_bands = {n_bands}: the log-mel has {frames.shape[-1]} bands.")
        ranges = np.array_split(frames, n_bands, axis=-1)
        frames = np.stack([part.mean(axis=-1) for part in ranges], axis=-1)
    if features and study.features is None:
        raise SettingsError(
            f"features = true: {study.name} has none. Give its study file speech_features, or "
            "leave features out."
        )
    if features and study.mel is not None:
        frames = np.concatenate([frames, study.features], axis=-1)
    known = frames[split.train]
    spread = known.std(axis=(0, 1))
    scaled = (frames - known.mean(axis=(0, 1))) / np.where(spread > 1e-6, spread, 1.0)
    return with_context(torch.from_numpy(scaled), context_frames, study.run_of_tr)


def standardised_pictures(
    study: Study, split: Split, params: PictureStreamParams, context: bool = True
) -> Float[Tensor, "tr wider rgb height width"]:
    """Pictures, each colour of mean 0 and all of variance 1 on the training TRs, with context.

    An encoder of optical flow is given them from 0 to 1, as flow needs brightness.
    """
    pictures = rearrange(torch.from_numpy(np.array(study.pictures)), "t p h w c -> t p c h w")
    pictures = pictures.float() / 255
    if not params.takes_flow:
        known = pictures[torch.from_numpy(split.train)]
        center = known.mean((0, 1, 3, 4))[:, None, None]
        pictures = (pictures - center) / (known - center).square().mean().sqrt().clamp_min(1e-6)
    return with_context(pictures, params.context_pictures * context, study.run_of_tr)


def bold_stimulus(study: Study, split: Split, params: BoldParams) -> Stimulus:
    """All that a predictor with these parameters is shown of a study.

    Raises
        SettingsError: the study lacks pictures that are asked for, or has neither track; or as
            `standardised_frames`.
    """
    if params.pictures is not None and study.pictures is None:
        raise SettingsError(
            f"pictures: {study.name} has none; leave them out, or use a system of sound alone."
        )
    sound = pictures = None
    if params.pictures is not None:
        pictures = standardised_pictures(study, split, params.pictures)
    if study.frames is not None:
        how = (params.stream.context_frames, params.n_bands, params.features)
        sound = standardised_frames(study, split, *how)
    if sound is None and pictures is None:
        raise SettingsError(
            f"{study.name} has no sound and no features: give the system's bold pictures to "
            "predict from."
        )
    if sound is None or pictures is None:
        return pictures if sound is None else sound
    return SoundAndPictures(sound, pictures)


def bold_predictor(study: Study, params: BoldParams) -> BoldPredictor:
    """The untrained network for a study; what is random in it comes from torch's generator.

    Raises
        SettingsError: as `readout_of`, or `BoldPredictor`.
    """
    n_channels = None
    if study.frames is not None:
        n_channels = (study.mel is not None and params.n_bands) or study.frames.shape[-1]
        if params.features and study.mel is not None:
            n_channels += len(study.feature_names)
    # Deconvolved BOLD lies beside its stimulus; its series themselves are not needed here.
    aligned = study if params.deconvolve is None else replace(study, bold={}, hrf_applied=True)
    predictor = BoldPredictor(
        n_channels,
        study.clock.frames_per_tr,
        study.clock.tr_s,
        ["mean"] if params.target == "mean" else study.subjects,
        len(study.parcels),
        params.stream,
        readout_of(aligned, params.readout),
        params.pictures,
        None if study.pictures is None else study.pictures.shape[1:4],
    )
    predictor.undone_response = params.deconvolve and params.deconvolve.response
    return predictor


def batches_of_epoch(
    fold: Fold, train: Batch, stimulus: Stimulus
) -> Callable[[int], list[Batch] | ChangedBatches]:
    """Epoch -> its only batch, augmented as the parameters say, the same whenever it is asked.

    Arguments
        fold: its ``params`` are `BoldParams`.
        train: all training items.
        stimulus: of the whole study; what masks leave is the mean of the training TRs.
    """
    params, has_sound = fold.params, fold.study.frames is not None
    pictures = params.pictures
    of_sound = (params.augmentation, params.stream.context_frames)
    of_pictures = (None, 0)
    if pictures is not None:
        of_pictures = (pictures.augmentation, pictures.context_pictures)
    wanted = {"frames": of_sound if has_sound else of_pictures}
    if "pictures" in train:
        wanted["pictures"] = of_pictures
    known, of_part = torch.from_numpy(fold.train), {}
    for name, (augmentation, context) in wanted.items():
        if augmentation is not None:
            mean = parts_of(stimulus)[name][known].mean((0, 1))
            of_part[name] = (augmentation, mean, context)
    if not of_part:
        return lambda _: [train]

    def augmented(batch: Batch, generator: Generator) -> Batch:
        return batch | {
            name: augment(batch[name], params, generator, mean, context)
            for name, (params, mean, context) in of_part.items()
        }

    return lambda epoch: ChangedBatches([train], augmented, epoch_seed(fold.seed, epoch))


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
    labelled = labelled_trs(split, params.label_fraction, study, seed)
    activity = fold if params.deconvolve is None else fold.using(study=deconvolved_study(fold))
    subjects, mean = labelled_bold(activity, labelled)
    targets = {"mean": mean} if params.target == "mean" else subjects
    bold = {name: torch.tensor(of, dtype=torch.float32) for name, of in targets.items()}
    stimulus = bold_stimulus(study, split, params)
    torch.manual_seed(seed)
    predictor = bold_predictor(study, params)
    learner: nn.Module = predictor
    if taught is not None:
        both = (predictor, taught[0])
        sizes = [model.readouts[0].dim for model in both] + [len(model.streams) for model in both]
        learner = Distiller(*both, follow_predictor, *sizes)
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
        parts = parts_of(stimulus).items()
        shuffled = {name: torch.from_numpy(shuffle_frames(of.numpy(), seed)) for name, of in parts}
        mixed = bold_timeline(predictor, stimulus_of(shuffled), study)
        how = {"run_of_tr": study.run_of_tr, "seed": seed}
        randomised = altered(stimulus, study, partial(phase_randomised_frames, **how))
        surrogate = bold_timeline(predictor, randomised, study)
        labelled = labelled_trs(split, params.label_fraction, study, seed)
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
    for trs, of_run in runs_of(stimulus, study.run_of_tr):
        for name, bold in predictor(of_run).items():
            out.setdefault(name, np.full((study.clock.n_trs, bold.shape[-1]), np.nan))
            out[name][trs] = bold[0].double().numpy()
    if predictor.undone_response is not None:
        how = (study.clock.tr_s, predictor.undone_response, study.run_of_tr)
        out = {name: bold_of_activity(activity, *how) for name, activity in out.items()}
    return out


def _mean_of(predictions: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.mean(list(predictions.values()), axis=0)
