"""Ablation, modulation transfer and inspection of trained systems."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from subtr.datasets.study import Study
from subtr.decoders import DECODERS
from subtr.experiments.bold_scores import bold_rows
from subtr.experiments.data import ExperimentData
from subtr.experiments.experiment import prediction_rows, reconstruction_rows, training_folds
from subtr.experiments.results import Row, read_table, sound_rows, write_results
from subtr.metrics.temporal import ModulationTransfer, System, modulation_transfer
from subtr.models.autoencoder import TemporalAutoencoder
from subtr.models.batches import Stimulus, window_batches
from subtr.models.encoding_model import BoldPredictor
from subtr.models.linear import (
    fit_pca,
    holds_components,
    lanczos_baseline,
    mean_baseline,
    nearest_baseline,
)
from subtr.models.saved import frames_of_mel
from subtr.models.stream import JointStream, Stream
from subtr.params import SettingsError, params_hash
from subtr.timeline import Split, consecutive
from subtr.training.autoencoders import reconstruct_sound
from subtr.training.encoding_models import bold_predictor, bold_stimulus, bold_timeline

WHOLE = "all of it"


def ablate(experiment: ExperimentData, name: str, seed: int = 0) -> pd.DataFrame:
    """Trains a system once without each component that its YAML lists under ``ablations``.

    Only the parts that lack something are trained; the whole system is read where it is trained
    already. The table is kept in the run folder under ``ablations``, apart from those of systems.

    Returns
        Tidy rows whose ``system`` says what is left out, "without ..."; first the whole, WHOLE.

    Raises
        SettingsError: the system lists no ablations, or none of a part that the study has.
    """
    system = experiment.system(name)
    rows: list[Row] = []
    touched: dict[str, None] = {}
    for component in system.ablations:
        left = system.without(component)
        parts = _present(experiment, system.parts_of(component))
        touched |= dict.fromkeys(parts)
        rows += _rows(experiment, f"{name} without {component}", left, parts, seed)
    if not rows:
        raise SettingsError(
            f"system_{name}.yaml: expected `ablations` of sound, pictures or BOLD that "
            f"{experiment.study.name} has, such as {{no encoder: {{sound.stream.encoder: "
            "{name: linear}}}."
        )
    whole = _rows(experiment, name, system, list(touched), seed)
    rows = [row | {"system": row["system"].removeprefix(f"{name} ")} for row in rows]
    whole = [row | {"system": WHOLE} for row in whole]
    file = experiment.folder / "ablations" / f"{name}_seed{seed}.csv"
    return read_table(write_results(file, [*whole, *rows]))


def _rows(experiment: ExperimentData, label: str, system, parts: list[str], seed: int) -> list[Row]:
    labels = {"study": experiment.study.name, "system": label, "seed": seed}
    labels["params_hash"] = params_hash(experiment.params, system)
    rows = []
    for part in parts:
        if part == "bold":
            rows += prediction_rows(experiment, system.bold, labels, keep=False)
        else:
            rows += reconstruction_rows(experiment, part, getattr(system, part), labels, keep=False)
    return rows


def _present(experiment: ExperimentData, parts: list[str]) -> list[str]:
    study = experiment.study
    there = {
        "sound": study.mel is not None,
        "pictures": study.pictures is not None,
        "bold": bool(study.bold) and study.frames is not None,
    }
    return [part for part in parts if there[part]]


def by_component(table: pd.DataFrame) -> pd.DataFrame:
    """What `ablate` gave, as `subtr.viewing.scores.without_parts` draws it.

    Returns
        Columns ``without``, ``group`` (sound, pictures, or class of parcels) and ``value``: of
        reconstructions the within-TR R², of BOLD r as a share of its ceiling where there
        is one.
    """
    shared = "r / ceiling" if "r / ceiling" in set(table["metric"]) else "r"
    of_bold = (table["metric"] == shared) & (table["group"] != "")
    kept = table[of_bold | (table["metric"] == "within-TR R²")]
    group = kept["group"].where(kept["modality"] == "bold", kept["modality"])
    without = kept["system"].str.removeprefix("without ")
    return pd.DataFrame({"without": without, "group": group, "value": kept["value"]})


N_TRS = 8


def sound_transfers(
    experiment: ExperimentData, systems: Sequence[str], rates_hz: Sequence[float], seed: int = 0
) -> dict[str, ModulationTransfer]:
    """Gains by rate of the baselines and of trained systems, in the log-mel, for the first fold.

    The carrier is the training mean of every mel band, the depth one standard deviation.

    Arguments
        systems: trained ones, such as "tier1"; those that this run has not trained are left out.
        rates_hz: those that the study's frames cannot carry are left out.
    """
    study, split = experiment.study, experiment.splits[0]
    mel = np.asarray(study.mel, dtype=np.float32)
    known = mel[split.train]
    clock = replace(study.clock, n_trs=N_TRS, onset_s=0.0)
    rates = np.array([rate for rate in rates_hz if rate < 0.49 * clock.frame_hz])
    carrier, depth = known.mean(axis=(0, 1)), float(known.std())
    driven = {"mean": mean_baseline, "nearest": nearest_baseline, "Lanczos": lanczos_baseline}
    stretches = consecutive(split.train, study.run_of_tr)
    for n_floats in experiment.params.pca_floats[-1:]:
        if holds_components(mel, stretches, n_floats):
            pca = fit_pca(torch.tensor(mel), stretches, n_floats)
            driven[f"PCA {n_floats}"] = pca.reconstruct
    for name in systems:
        driven |= dict(_trained(experiment, name, seed))
    return {
        name: modulation_transfer(system, clock, rates, carrier, depth, n_phases=2)
        for name, system in driven.items()
    }


def _trained(experiment: ExperimentData, name: str, seed: int) -> Iterator[tuple[str, System]]:
    """Name with size, and the reconstruction, of each finished training of the first fold."""
    params = experiment.system(name).sound
    for n_floats in params.floats_per_tr if params else ():
        first = training_folds(experiment, name, "sound", params.of_size(n_floats), seed)[0]
        if not (first.folder / "done.json").exists():
            continue

        def system(windows: Float[np.ndarray, "tr frame mel"], fold=first):
            driven, split = _with_test_windows(experiment, windows)
            return reconstruct_sound(fold.using(study=driven, split=split))[0]

        yield f"{name} {n_floats}", system


def _with_test_windows(experiment: ExperimentData, windows: Float32[np.ndarray, "tr frame mel"]):
    """The study's sound with other windows behind it, and the first fold with these to test."""
    study, split = experiment.study, experiment.splits[0]
    n_trs = study.clock.n_trs + len(windows)
    longer = Study(
        study.name,
        replace(study.clock, n_trs=n_trs),
        mel=np.concatenate([np.asarray(study.mel, dtype=np.float32), windows]),
        mel_settings=study.mel_settings,
        run_of_tr=np.concatenate([study.run_of_tr, np.full(len(windows), -1)]),
    )
    test = np.arange(study.clock.n_trs, n_trs)
    return longer, Split(split.train, split.validation, test)


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


def network_sizes(
    experiment: ExperimentData, systems: Sequence[str], seed: int = 0
) -> pd.DataFrame:
    """A row for each finished training of the systems, of the first fold.

    Returns
        Columns system, modality, floats_per_tr (NaN for BOLD), parameters: numbers learned of
        encoder, aggregator and decoder or readout; what ties a student to its teacher is left out.
    """
    rows = []
    for name in systems:
        system = experiment.system(name)
        for modality in ("sound", "pictures"):
            params = getattr(system, modality)
            for n_floats in params.floats_per_tr if params else ():
                how = (name, modality, params.of_size(n_floats), seed)
                first = training_folds(experiment, *how)[0]
                rows.append((name, modality, n_floats, _parameters(first.folder)))
        if system.bold:
            first = training_folds(experiment, name, "bold", system.bold, seed)[0]
            rows.append((name, "bold", float("nan"), _parameters(first.folder)))
    columns = ["system", "modality", "floats_per_tr", "parameters"]
    return pd.DataFrame([row for row in rows if row[-1]], columns=columns)


def _parameters(folder: Path) -> int:
    """0 for a training that has not finished."""
    if not (folder / "done.json").exists():
        return 0
    state = torch.load(folder / "best.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    own = {name.removeprefix("model."): of for name, of in state.items()}
    return sum(of.numel() for name, of in own.items() if not name.startswith("maps."))
