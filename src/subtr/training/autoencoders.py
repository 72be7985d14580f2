"""Trains an autoencoder on one fold and reconstructs its test TRs."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Generator, Tensor, nn

from subtr.datasets.study import Fold
from subtr.models.autoencoder import Autoencoder, FeatureError, TemporalAutoencoder
from subtr.models.batches import Batch, ChangedBatches, WindowBatches, epoch_seed, window_batches
from subtr.models.linear import BlockPCABaseline, fit_pca
from subtr.models.saved import (
    AUTOENCODER_FILE,
    AutoencoderSpec,
    SavedAutoencoder,
    StreamSpec,
    frames_of_mel,
    frames_of_pictures,
    pictures_of_frames,
)
from subtr.params import SettingsError, git_hash, params_hash
from subtr.timeline import consecutive
from subtr.training.adversarial import AdversarialFitting, Adversary, Drawn
from subtr.training.augmentation import (
    PerturbationParams,
    augment,
    equal_gradient_weights,
    perturbed,
    target_at,
)
from subtr.training.distillation import Distiller, distillation_loss, follow_autoencoder
from subtr.training.fit import Fitting, fit
from subtr.training.losses import Diagnostics, reconstruction_loss
from subtr.training.recordings import MixedBatches, OtherWindows, mixed_windows
from subtr.training.systems import AutoencoderParams


def lessons(
    windows: WindowBatches | MixedBatches,
    params: AutoencoderParams,
    epoch: int,
    frame_hz: float,
    seed: int,
    mean: Float[Tensor, "..."] | float = 0.0,
) -> ChangedBatches:
    """Clean windows of an epoch with what the model is given in their place, and asked for.

    Arguments
        params: their ``augmentation`` changes what is given, their ``curriculum`` what is asked
            for, see `subtr.training.augmentation`.
        mean: what stands in the place of masked frames.
    """

    def lesson(batch: Batch, generator: Generator) -> Batch:
        clean = batch["frames"]
        if params.augmentation:
            batch["given"] = augment(clean, params.augmentation, generator, mean)
        if params.curriculum:
            of_epoch = (epoch, params.training.max_epochs, params.curriculum, frame_hz)
            batch["target"] = target_at(clean, *of_epoch)
        return batch

    return ChangedBatches(windows, lesson, seed)


def train_autoencoder(
    fold: Fold,
    model: TemporalAutoencoder,
    batches: Callable[[int], ChangedBatches],
    validation: list[Batch],
    started: Iterable[nn.Parameter] = (),
    heard: FeatureError | None = None,
) -> pd.DataFrame:
    """Trains it, or reads it from the fold's folder, and gives the history.

    Arguments
        fold: its ``params`` say how the model is trained, and by which loss; its ``teacher`` is an
            `Autoencoder`.
        batches: epoch -> what is learned from.
        validation: clean windows, by which the best weights are chosen.
        started: parameters that start from a solution.
        heard: of the features that ``params.loss`` names.

    Raises
        SettingsError: a teacher is to be followed, and there is none.
    """
    params, tr_s, teacher = fold.params, fold.study.clock.tr_s, fold.teacher
    if params.teacher is not None and teacher is None:
        raise SettingsError(f"teacher = {params.teacher.teacher!r}: it has not been trained.")
    wish, training = params.loss, params.training
    weights = {"within_weight": 1.0, "level_weight": params.level_weight}
    if params.balance:
        first = next(iter(batches(0)))
        weights = _balanced(model, first, tr_s, weights)

    def task(found: Tensor, wanted: Tensor) -> tuple[Tensor, Diagnostics]:
        error, named = reconstruction_loss(_flat(found), _flat(wanted), **weights)
        added, more = wish.added(found, wanted, tr_s)
        if heard is not None:
            of_features = heard.of(wanted.flatten(0, 1))(found.flatten(0, 1)).mean()
            added, more = added + of_features, more | {"features": of_features.detach()}
        return wish.error_weight * error + added, named | more

    def draw(model: nn.Module, batch: Batch) -> Drawn:
        clean = batch["frames"]
        given, target = batch.get("given", clean), batch.get("target", clean)
        pair = None
        if isinstance(model, TemporalAutoencoder):
            found = model(given, tr_s)
        elif not model.training:
            found = model.student(given, tr_s)
        else:
            pair = model(given, clean)
            found = pair.student_output[0]
        value, named = task(found, target)
        if pair is not None:
            how = (params.teacher.vector_weight, params.teacher.output_weight)
            followed, more = distillation_loss(pair, task, *how)
            value, named = value + followed, named | more
        return Drawn(value, named, wish.signal(found), wish.signal(target))

    learner: nn.Module = model
    if params.teacher is not None:
        follow = partial(follow_autoencoder, tr_s=tr_s)
        learner = Distiller(model, teacher.model, follow, params.n_floats, teacher.n_floats)
    of_fitting = (batches, validation, training, fold.seed, started)
    if wish.adversarial:
        adversary = Adversary(
            validation[0]["frames"][0, 0, 0].numel(), wish.adversarial, wish.discriminators
        )
        fitting = AdversarialFitting(learner, draw, adversary, *of_fitting)
    else:
        fitting = Fitting(learner, lambda *given: draw(*given)[:2], *of_fitting)
    return fit(fitting, fold.folder, fold.label)


def _balanced(model, batch: Batch, tr_s: float, weights: dict[str, float]) -> dict[str, float]:
    def losses(model: TemporalAutoencoder, batch: Batch) -> dict[str, Tensor]:
        clean = batch["frames"]
        found, wanted = model(batch.get("given", clean), tr_s), batch.get("target", clean)
        nothing = dict.fromkeys(weights, 0.0)
        return {
            part: reconstruction_loss(_flat(found), _flat(wanted), **nothing | {part: weight})[0]
            for part, weight in weights.items()
        }

    found = equal_gradient_weights(model, batch, losses)
    return {part: weight * found[part] for part, weight in weights.items()}


def _flat(frames: Tensor) -> Tensor:
    """Of pictures, every pixel and colour is a feature."""
    return frames.flatten(3) if frames.ndim == 6 else frames


def start_model(
    model: TemporalAutoencoder,
    params: AutoencoderParams,
    frames: Float[Tensor, "tr frame *feature"],
    stretches: list[Int[np.ndarray, " _"]],
    seed: int,
) -> list[nn.Parameter]:
    """Sets what ``params.start`` names to a solution learned from the stretches, and gives it.

    Raises
        SettingsError: the windows or blocks hold fewer components; or aggregator and decoder cut
            pictures into different blocks.
    """
    if params.start == "random":
        return []
    aggregator, decoder = model.stream.aggregator, model.decoder
    if params.start == "pca":
        pca = fit_pca(frames, stretches, params.n_floats, seed)
        components, mean = torch.from_numpy(pca.components), torch.from_numpy(pca.mean)
        # Codes of variance 1, so that what is added to them need not know their scale.
        spread = torch.from_numpy(pca.deviations).clamp_min(1e-6)
        analysis = components / spread[:, None]
        started = aggregator.start_from(analysis, -analysis @ mean)
        return started + decoder.start_from(components.T * spread, mean)
    if aggregator.blocks != decoder.blocks:
        raise SettingsError(
            f"start = 'blocks': the aggregator has {aggregator.blocks}, expected "
            f"{decoder.blocks} as the decoder has; give both the same block, and the aggregator "
            "the channels and height of the pictures."
        )
    baseline = BlockPCABaseline(decoder.blocks, params.n_floats, *decoder.weights, seed)
    baseline.fit(frames, stretches)
    started = aggregator.start_from_blocks(baseline.analysis, baseline.offset)
    return started + decoder.start_from_blocks(baseline.synthesis, baseline.mean)


def train_sound(fold: Fold) -> Autoencoder:
    """Trains an autoencoder of the log-mel, or reads it from the fold's folder.

    Arguments
        fold: its ``params`` are `SoundParams` of one size; its ``teacher``, where they ask for one,
            is the `Autoencoder` or the fold to train it on. Test TRs are never looked at.

    Raises
        SettingsError: several sizes, no teacher where one is to be followed, or ``codes``, for
            which is `subtr.training.quantised`.
    """
    if getattr(fold.params, "codes", None) is not None:
        raise SettingsError(
            f"{fold.label} codes: expected floats here. A system of codes is trained and scored "
            "by Experiment.train; it teaches no other, and is neither opened nor looked into."
        )
    fold = _with_teacher(fold, train_sound)
    study, params = fold.study, fold.params
    frames, center, scale = frames_of_mel(study.mel, fold.train)
    learned = perturbed(frames, consecutive(fold.train, study.run_of_tr), params.perturbation)
    return _trained(fold, _Shown(frames, frames.shape[2], center, scale), *learned)


def train_pictures(fold: Fold) -> Autoencoder:
    """Trains an autoencoder of the pictures, or reads it from the fold's folder.

    Arguments
        fold: as of `train_sound`, with `PictureParams`.

    Raises
        SettingsError: as `train_sound`; or ``perturbation`` moves bands, which pictures do not
            have.
    """
    fold = _with_teacher(fold, train_pictures)
    study, params = fold.study, fold.params
    if params.perturbation != PerturbationParams():
        raise SettingsError("perturbation: expected none for pictures; it is made for sound alone.")
    frames = frames_of_pictures(np.array(study.pictures))
    shown = _Shown(frames, tuple(frames.shape[3:]), torch.zeros(()), torch.ones(()))
    return _trained(fold, shown, frames, consecutive(fold.train, study.run_of_tr))


def reconstruct_sound(fold: Fold) -> tuple[Float32[np.ndarray, "test frame mel"], pd.DataFrame]:
    """The log-mel of the test TRs from a few numbers a TR, and the training's history."""
    # Before the training, not after it.
    fold.params.vector_fit.check()
    trained = train_sound(fold)
    found = trained.reconstruct(fold.test, fold.study, fold.params.vector_fit)
    return found.numpy(), trained.history


def reconstruct_pictures(
    fold: Fold,
) -> tuple[UInt8[np.ndarray, "test picture height width 3"], pd.DataFrame]:
    """The pictures of the test TRs from a few numbers a TR, and the training's history."""
    trained = train_pictures(fold)
    found = trained.reconstruct(fold.test, fold.study, fold.params.vector_fit)
    return pictures_of_frames(found), trained.history


class _Shown(NamedTuple):
    """The stimulus as it enters the model, the size of a frame, and the way back to its units."""

    frames: Tensor
    in_dim: int | tuple[int, int]
    center: Tensor
    scale: Tensor


def _with_teacher(fold: Fold, train: Callable[[Fold], Autoencoder]) -> Fold:
    """With a trained teacher in the place of the fold that it is to be trained on."""
    if fold.params.teacher is not None and isinstance(fold.teacher, Fold):
        return fold.using(teacher=train(fold.teacher))
    return fold


def _trained(fold: Fold, shown: _Shown, learned: Tensor, stretches: list) -> Autoencoder:
    """Trains on the stretches of what is learned from: the stimulus, with copies or without."""
    study, params, frames = fold.study, fold.params, shown.frames
    n_frames, tr_s, units = frames.shape[1], study.clock.tr_s, (shown.center, shown.scale)
    file, done = fold.folder / AUTOENCODER_FILE, fold.folder / "done.json"
    stream = StreamSpec(
        in_dim=shown.in_dim, frames_per_tr=n_frames, dim=params.n_floats, params=params.stream
    )
    came_from = {"study": study.name, "training": fold.label, "seed": str(fold.seed)}
    spec = AutoencoderSpec(
        stream=stream,
        decoder=params.decoder,
        mel=study.mel_settings if isinstance(shown.in_dim, int) else None,
        tr_s=tr_s,
        provenance=came_from | {"git": git_hash(), "params_hash": params_hash(params)},
    )
    heard, others, started = None, None, []
    # Weights that are read anyway need nothing to learn from and no start.
    fresh, features = not done.exists(), params.loss.features
    if fresh and features is not None:
        heard = features.error(study.mel_settings, tr_s, n_frames, *units)
    if fresh and params.others_share:
        others = OtherWindows.of(study, *units, params)
    torch.manual_seed(fold.seed)
    model = spec.build()
    if fresh:
        started = start_model(model, params, learned, stretches, fold.seed)
    mean = 0.0 if frames.ndim == 3 else frames[torch.from_numpy(fold.train)].mean((0, 1))

    def batches(epoch: int) -> ChangedBatches:
        sizes = (params.item_trs, params.batch_size, params.batches_per_epoch)
        seed = epoch_seed(fold.seed, epoch)
        windows = mixed_windows(learned, stretches, others, *sizes, seed)
        return lessons(windows, params, epoch, n_frames / tr_s, seed, mean)

    validation = window_batches(frames, consecutive(fold.validation, study.run_of_tr))
    history = train_autoencoder(fold, model, batches, validation, started, heard)
    if not file.exists() or file.stat().st_mtime < done.stat().st_mtime:
        SavedAutoencoder(spec, model, *units).save(file)
    return Autoencoder(model, params.n_floats, frames, *units, history)
