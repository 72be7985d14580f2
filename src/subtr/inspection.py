"""Looks inside trained systems: what is lost when one of their levels says nothing."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from subtr.bold_scores import bold_rows
from subtr.decoders import DECODERS
from subtr.experiment_data import ExperimentData
from subtr.models.autoencoder import TemporalAutoencoder
from subtr.models.batches import Stimulus, window_batches
from subtr.models.encoding_model import BoldPredictor
from subtr.models.saved import frames_of_mel
from subtr.models.stream import JointStream, Stream
from subtr.params import SettingsError
from subtr.scoring import sound_rows
from subtr.system_training import training_folds
from subtr.timeline import consecutive
from subtr.training.encoding_models import bold_predictor, bold_stimulus, bold_timeline

ALL = "all levels"


@torch.no_grad()
def levels_of_sound(experiment: ExperimentData, system: str, seed: int = 0) -> pd.DataFrame:
    """Scores of reconstructed sound, with all levels and with each level in turn saying nothing.

    Arguments
        system: a trained one, at the first of its sizes.

    Returns
        Tidy rows, see ``results.COLUMNS``; column ``without``: "all levels", or the level's name.

    Raises
        SettingsError: the system has no part for sound, or is not trained.
    """
    study, params = experiment.study, _part(experiment, system, "sound")
    n_frames, n_mels = study.mel.shape[1:]
    n_floats = params.floats_per_tr[0]
    stream = Stream(n_mels, n_frames, n_floats, params.stream)
    decoder = params.decoder.build(DECODERS, n_floats, n_frames, n_mels)
    model = TemporalAutoencoder(stream, decoder)
    found: dict[str, list[Tensor]] = {}
    for fold in training_folds(experiment, system, "sound", params.of_size(n_floats), seed):
        _load(model, fold.folder, system)
        frames, center, scale = frames_of_mel(study.mel, fold.train)
        stretches = consecutive(fold.test, study.run_of_tr)
        for name in _without_each([stream], study.clock.tr_s):
            for batch in window_batches(frames, stretches):
                windows = model(batch["frames"], study.clock.tr_s)[0] * scale + center
                found.setdefault(name, []).append(windows)
    original, rows = np.asarray(study.mel[experiment.reconstruction_trs], np.float32), []
    for name, parts in found.items():
        labels = {"study": study.name, "system": system, "seed": seed, "without": name}
        rows += sound_rows(original, torch.cat(parts).numpy(), study.clock.tr_s, **labels)
    return pd.DataFrame(rows)


def levels_of_bold(experiment: ExperimentData, system: str, seed: int = 0) -> pd.DataFrame:
    """Scores of predicted BOLD, as `levels_of_sound` gives those of sound, of all folds."""
    study, params = experiment.study, _part(experiment, system, "bold")
    found: dict[str, np.ndarray] = {}
    for fold, split in enumerate(experiment.splits):
        predictor, stimulus = trained_predictor(experiment, system, seed, fold)
        for name in _without_each(predictor.streams, study.clock.tr_s):
            prediction = found.setdefault(name, np.full(experiment.held_out.mean.shape, np.nan))
            heads = bold_timeline(predictor, stimulus, study)
            prediction[split.test] = np.mean(list(heads.values()), axis=0)[split.test]
    rows = []
    for name, prediction in found.items():
        labels = {"study": study.name, "system": system, "seed": seed, "without": name}
        labels["floats_per_tr"] = params.readout.vector_dim * params.readout.members
        rows += bold_rows(prediction, experiment.held_out, **labels)
    return pd.DataFrame(rows)


def trained_predictor(
    experiment: ExperimentData, system: str, seed: int = 0, fold: int = 0
) -> tuple[BoldPredictor, Stimulus]:
    """A system's network to BOLD, and the stimulus that it is given of every TR, with context.

    Raises
        SettingsError: the system has no part for BOLD, or is not trained.
    """
    study, params = experiment.study, _part(experiment, system, "bold")
    own = training_folds(experiment, system, "bold", params, seed)[fold]
    stimulus = bold_stimulus(study, own.split, params)
    predictor = bold_predictor(study, params)
    _load(predictor, own.folder, system)
    return predictor, stimulus


@contextmanager
def without_level(stream: Stream | JointStream, index: int) -> Iterator[None]:
    """Within it the aggregator gets, of one level, the mean over the batch: nothing of this TR.

    Arguments
        index: of the level, fine first; the frames themselves come first where they are kept.
    """

    def told(_, given: tuple[list[Tensor]]) -> tuple[list[Tensor]]:
        levels = list(given[0])
        levels[index] = levels[index].mean(dim=0, keepdim=True).expand_as(levels[index])
        return (levels,)

    hook = stream.aggregator.register_forward_pre_hook(told)
    try:
        yield
    finally:
        hook.remove()


def _without_each(streams, tr_s: float) -> Iterator[str]:
    """Yields names; while one is out, that level of all the streams says nothing."""
    yield ALL
    for index, name in enumerate(streams[0].level_names(tr_s)):
        with ExitStack() as levels_out:
            for stream in streams:
                levels_out.enter_context(without_level(stream, index))
            yield name


def _part(experiment: ExperimentData, system: str, name: str):
    part = getattr(experiment.system(system), name)
    if part is None:
        raise SettingsError(f"system_{system}.yaml has no {name}: nothing of it was trained.")
    return part


def _load(model: nn.Module, folder: Path, system: str) -> None:
    if not (folder / "done.json").exists():
        raise SettingsError(
            f"{system} is not trained with these parameters: call experiment.train({system!r}) "
            "with this seed first."
        )
    state = torch.load(folder / "best.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    # Of one that had a teacher, what lies between the two is left out.
    weights = {
        name.removeprefix("model.").removeprefix("student."): of for name, of in state.items()
    }
    model.load_state_dict({name: of for name, of in weights.items() if name in model.state_dict()})
    model.eval()
