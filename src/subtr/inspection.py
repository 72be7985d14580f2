"""Looks inside trained systems: what is lost when one of their levels says nothing."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from subtr.bold_scoring import bold_rows
from subtr.decoders import DECODERS
from subtr.errors import SettingsError
from subtr.experiment import Experiment
from subtr.items import consecutive, window_batches
from subtr.models import BoldPredictor, Stream, TemporalAutoencoder
from subtr.prediction import standardised_frames
from subtr.scoring import sound_rows
from subtr.system_training import autoencoder_folder, prediction_folder

ALL = "all levels"


@torch.no_grad()
def levels_of_sound(experiment: Experiment, system: str, seed: int = 0) -> pd.DataFrame:
    """Scores of reconstructed sound, with all levels and with each level in turn saying nothing.

    Arguments
        system: a trained one, at the first of its sizes.

    Returns
        Tidy rows, see ``results.COLUMNS``; column ``without``: "all levels", or the level's name.

    Raises
        SettingsError: the system has no part for sound, or is not trained.
    """
    study, params = experiment.study, _part(experiment, system, "sound")
    mel = torch.from_numpy(np.array(study.mel, dtype=np.float32))
    n_frames, n_mels = mel.shape[1:]
    n_floats = params.floats_per_tr[0]
    stream = Stream(n_mels, n_frames, n_floats, params.stream)
    decoder = params.decoder.build(DECODERS, n_floats, n_frames, n_mels)
    model = TemporalAutoencoder(stream, decoder)
    place = autoencoder_folder(experiment, system, "sound", params, n_floats, seed)
    found: dict[str, list[Tensor]] = {}
    for fold, split in enumerate(experiment.splits[: experiment.params.reconstruction_folds]):
        _load(model, place / f"fold{fold}", system)
        known = mel[torch.from_numpy(split.train)]
        center, scale = known.mean(dim=(0, 1)), known.std()
        stretches = consecutive(split.test, study.run_of_tr)
        for name in _without_each([stream], study.clock.frame_hz):
            for batch in window_batches((mel - center) / scale, stretches):
                windows = model(batch["frames"], study.clock.tr_s)[0] * scale + center
                found.setdefault(name, []).append(windows)
    original, rows = mel.numpy()[experiment.reconstruction_trs], []
    for name, parts in found.items():
        labels = {"study": study.name, "system": system, "seed": seed, "without": name}
        rows += sound_rows(original, torch.cat(parts).numpy(), study.clock.tr_s, **labels)
    return pd.DataFrame(rows)


def levels_of_bold(experiment: Experiment, system: str, seed: int = 0) -> pd.DataFrame:
    """Scores of predicted BOLD, as `levels_of_sound` gives those of sound, of all folds."""
    study, params = experiment.study, _part(experiment, system, "bold")
    found: dict[str, np.ndarray] = {}
    for fold, split in enumerate(experiment.splits):
        predictor, frames = trained_predictor(experiment, system, seed, fold)
        for name in _without_each(predictor.streams, study.clock.frame_hz):
            prediction = found.setdefault(name, np.full(experiment.held_out.mean.shape, np.nan))
            heads = _timeline(predictor, frames, study.run_of_tr)
            prediction[split.test] = np.mean(heads, axis=0)[split.test]
    rows = []
    for name, prediction in found.items():
        labels = {"study": study.name, "system": system, "seed": seed, "without": name}
        labels["floats_per_tr"] = params.readout.vector_dim * params.readout.members
        rows += bold_rows(prediction, experiment.held_out, **labels)
    return pd.DataFrame(rows)


def trained_predictor(
    experiment: Experiment, system: str, seed: int = 0, fold: int = 0
) -> tuple[BoldPredictor, Float[Tensor, "tr wider band"]]:
    """A system's network from sound to BOLD, and the frames that it is given, with context.

    Raises
        SettingsError: the system has no part for BOLD, or is not trained.
    """
    study, params = experiment.study, _part(experiment, system, "bold")
    split = experiment.splits[fold]
    frames = standardised_frames(study, split, params.stream.context_frames, params.n_bands)
    predictor = BoldPredictor(
        frames.shape[-1],
        study.clock.frames_per_tr,
        study.clock.tr_s,
        ["mean"] if params.target == "mean" else study.subjects,
        len(study.parcels),
        params.stream,
        params.readout,
    )
    place = prediction_folder(experiment, system, params, seed)
    _load(predictor, place / f"fold{fold}", system)
    return predictor, frames


@contextmanager
def without_level(stream: Stream, index: int) -> Iterator[None]:
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


def _without_each(streams, frame_hz: float) -> Iterator[str]:
    """Yields names; while one is out, that level of all the streams says nothing."""
    yield ALL
    names = [f"the level at {hz:.3g} Hz" for hz in streams[0].encoder.frame_hz(frame_hz)]
    names = ["the input"] * streams[0].keep_input + names
    for index, name in enumerate(names):
        with ExitStack() as levels_out:
            for stream in streams:
                levels_out.enter_context(without_level(stream, index))
            yield name


def _part(experiment: Experiment, system: str, name: str):
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


@torch.no_grad()
def _timeline(predictor: BoldPredictor, frames: Tensor, run_of_tr: np.ndarray) -> list[np.ndarray]:
    """BOLD of the whole study, run by run, of each head."""
    heads: dict[str, np.ndarray] = {}
    for run in np.unique(run_of_tr):
        (trs,) = np.nonzero(run_of_tr == run)
        for name, bold in predictor(frames[torch.as_tensor(trs)][None]).items():
            out = heads.setdefault(name, np.full((len(run_of_tr), bold.shape[-1]), np.nan))
            out[trs] = bold[0].double().numpy()
    return list(heads.values())
