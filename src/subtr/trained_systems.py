"""The autoencoders of an experiment's systems, trained now where they have not been."""

from pathlib import Path

from subtr.datasets.study import Fold
from subtr.experiment_data import ExperimentData
from subtr.models.autoencoder import Autoencoder
from subtr.models.saved import AUTOENCODER_FILE
from subtr.params import SettingsError
from subtr.system_training import training_folds
from subtr.training.autoencoders import train_pictures, train_sound
from subtr.training.systems import AutoencoderParams


def system_part(experiment: ExperimentData, system: str, modality: str) -> AutoencoderParams:
    """What a system's params file says of "sound" or "pictures".

    Raises
        SettingsError: the study or the system has nothing of the modality.
    """
    study = experiment.study
    if (study.mel if modality == "sound" else study.pictures) is None:
        raise SettingsError(f"modality = {modality!r}: {study.name} has no {modality}.")
    params = getattr(experiment.system(system), modality, None)
    if params is None:
        raise SettingsError(f"system = {system!r}: system_{system}.yaml has no {modality}.")
    return params


def autoencoder_fold(
    experiment: ExperimentData,
    system: str,
    modality: str,
    n_floats: int,
    seed: int = 0,
    fold: int = 0,
) -> Fold:
    """How a system's autoencoder of one size is trained on one fold, and where it is kept.

    Raises
        SettingsError: as `system_part`, or there is no such fold.
    """
    params = system_part(experiment, system, modality).of_size(n_floats)
    folds = training_folds(experiment, system, modality, params, seed)
    if not 0 <= fold < len(folds):
        raise SettingsError(
            f"fold = {fold}: expected 0 to {len(folds) - 1}; reconstruction_folds of "
            f"{experiment.study.name} says on how many folds autoencoders are trained."
        )
    return folds[fold]


def trained_autoencoder(fold: Fold, modality: str) -> Autoencoder:
    """The autoencoder of an `autoencoder_fold`."""
    return train_sound(fold) if modality == "sound" else train_pictures(fold)


def autoencoder_file(fold: Fold, modality: str) -> Path:
    """The file by which the autoencoder of an `autoencoder_fold` is used on another film."""
    file = fold.folder / AUTOENCODER_FILE
    if not file.exists():
        trained_autoencoder(fold, modality)
    return file
