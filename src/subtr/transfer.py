"""What a study's systems do to modulation of each rate, measured by driving them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Float32

from subtr.datasets.study import Study
from subtr.experiment_data import ExperimentData
from subtr.metrics.temporal import ModulationTransfer, System, modulation_transfer
from subtr.models.linear import fit_pca, holds_components, lanczos_rival, mean_rival, nearest_rival
from subtr.system_training import training_folds
from subtr.timeline import Split, consecutive
from subtr.training.autoencoders import reconstruct_sound

N_TRS = 8


def sound_transfers(
    experiment: ExperimentData, systems: Sequence[str], rates_hz: Sequence[float], seed: int = 0
) -> dict[str, ModulationTransfer]:
    """Gains by rate of the rivals and of trained systems, in the log-mel, for the first fold.

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
    driven = {"mean": mean_rival, "nearest": nearest_rival, "Lanczos": lanczos_rival}
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
