"""Decoding from BOLD within an experiment: trained systems and components, scored and kept."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from subtr.bold_scores import OVERLAP_S, SEGMENT_S
from subtr.decoding import GROUP, Decoded, FittedFold, decode, fit_decoders
from subtr.decoding_scores import decoding_rows
from subtr.experiment_data import ExperimentData
from subtr.models.stimulus_decoder import WINDOW_S, StimulusCode, autoencoder_code, components_code
from subtr.params import SettingsError, params_hash
from subtr.results import read_table, write_results
from subtr.timeline import consecutive
from subtr.trained_systems import autoencoder_fold, system_part, trained_autoencoder

COMPONENTS = "PCA"


class DecodedSystem(NamedTuple):
    """A system's decoders, what they give for the test TRs, and the rows of its scores."""

    fitted: list[FittedFold]
    decoded: Decoded
    rows: pd.DataFrame


def can_decode(experiment: ExperimentData, system: str) -> list[str]:
    """Of sound and pictures, what a system can draw from BOLD; nothing where there is none.

    Test blocks must have segments far enough apart to be told from one another.
    """
    study = experiment.study
    trs = np.sort(experiment.reconstruction_trs)
    segment_trs = max(1, round(SEGMENT_S / study.clock.tr_s))
    apart_trs = segment_trs + int(np.ceil(OVERLAP_S / study.clock.tr_s))
    n_segments = max(len(of) // segment_trs for of in consecutive(trs, study.run_of_tr))
    # From the middle one the others are nearest.
    if not study.bold or n_segments // 2 * segment_trs < apart_trs:
        return []
    there = {"sound": study.mel is not None, "pictures": study.pictures is not None}
    params = experiment.system(system)
    return [name for name, of in there.items() if of and getattr(params, name) is not None]


def codes_of(
    experiment: ExperimentData, system: str, modality: str = "sound", seed: int = 0
) -> list[StimulusCode]:
    """The code of each fold that autoencoders are trained on: of a system, or of "PCA".

    A system that has not been trained is trained now, at the first of its sizes.

    Raises
        SettingsError: the study or the system has nothing of the modality.
    """
    study, splits = experiment.study, experiment.reconstruction_splits
    if (study.mel if modality == "sound" else study.pictures) is None:
        raise SettingsError(f"modality = {modality!r}: {study.name} has no {modality}.")
    if system == COMPONENTS:
        n_floats = experiment.params.pca_floats[0]
        return [components_code(study, split, n_floats, modality, seed) for split in splits]
    n_floats = system_part(experiment, system, modality).floats_per_tr[0]
    codes = []
    for index, split in enumerate(splits):
        fold = autoencoder_fold(experiment, system, modality, n_floats, seed, index)
        codes.append(autoencoder_code(trained_autoencoder(fold, modality), study, split))
    return codes


def decode_system(
    experiment: ExperimentData,
    system: str,
    modality: str = "sound",
    seed: int = 0,
    subject: str = GROUP,
    window_s: tuple[float | int, float | int] = WINDOW_S,
) -> DecodedSystem:
    """Decodes the test TRs of `Experiment.reconstruction_splits` from BOLD, and scores them.

    Arguments
        system: see `codes_of`.
        subject: whose BOLD; "mean" is the subjects' mean.
        window_s: see `subtr.models.stimulus_decoder.BoldDecoder`.

    Raises
        SettingsError: the study has no BOLD; or see `codes_of`, `fit_decoders` and `identified`.
    """
    study, settings = experiment.study, experiment.params
    if not study.bold:
        raise SettingsError(f"{study.name} has no BOLD to decode from.")
    codes = codes_of(experiment, system, modality, seed)
    folds = experiment.folds[: len(codes)]
    fitted = fit_decoders(folds, codes, subject, window_s)
    decoded = decode(fitted, study)
    labels: dict[str, Any] = {"study": study.name, "system": system, "seed": seed}
    labels["floats_per_tr"] = codes[0].vectors.shape[1]
    labels["params_hash"] = params_hash(settings)
    rows = decoding_rows(decoded, study, **labels)
    return DecodedSystem(fitted, decoded, kept_rows(experiment, f"{system}_{modality}", seed, rows))


def kept_rows(
    experiment: ExperimentData, name: str, seed: int, rows: Sequence[dict[str, Any]]
) -> pd.DataFrame:
    """Writes rows to ``decoding/<name>_seed<seed>.csv`` of the run folder; gives them typed.

    They are no part of `Experiment.results`, which compare systems on all TRs of the study.
    """
    file = experiment.folder / "decoding" / f"{name.replace(' ', '-')}_seed{seed}.csv"
    return read_table(write_results(file, rows))
