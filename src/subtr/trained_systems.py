"""The autoencoders of an experiment's systems, trained now where they have not been."""

from pathlib import Path

from subtr.autoencoder import Autoencoder
from subtr.autoencoder_params import AutoencoderParams
from subtr.errors import SettingsError
from subtr.experiment import Experiment
from subtr.reconstruction import AutoencoderTask, train_pictures, train_sound
from subtr.saved_autoencoder import AUTOENCODER_FILE
from subtr.system_training import autoencoder_folder, teacher_of


def system_part(experiment: Experiment, system: str, modality: str) -> AutoencoderParams:
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


def trained_autoencoder(
    experiment: Experiment, system: str, modality: str, n_floats: int, seed: int = 0, fold: int = 0
) -> Autoencoder:
    """A system's autoencoder of one size, trained on one fold.

    Raises
        SettingsError: as `system_part`, or there is no such fold.
    """
    params, study = system_part(experiment, system, modality), experiment.study
    splits = experiment.reconstruction_splits
    if not 0 <= fold < len(splits):
        raise SettingsError(
            f"fold = {fold}: expected 0 to {len(splits) - 1}; reconstruction_folds of "
            f"{study.name} says on how many folds autoencoders are trained."
        )
    place = autoencoder_folder(experiment, system, modality, params, n_floats, seed)
    teacher = teacher_of(experiment, modality, params, n_floats, seed, fold)
    label = f"{study.name}, {system}, {modality}, {n_floats} floats, seed {seed}, fold {fold}"
    train = train_sound if modality == "sound" else train_pictures
    return train(
        AutoencoderTask(
            study, splits[fold], params, n_floats, place / f"fold{fold}", seed, label, teacher
        )
    )


def autoencoder_file(
    experiment: Experiment, system: str, modality: str, n_floats: int, seed: int = 0, fold: int = 0
) -> Path:
    """The file by which `trained_autoencoder` is used on another film; raises as it does."""
    params = system_part(experiment, system, modality)
    place = autoencoder_folder(experiment, system, modality, params, n_floats, seed)
    file = place / f"fold{fold}" / AUTOENCODER_FILE
    if not file.exists():
        trained_autoencoder(experiment, system, modality, n_floats, seed, fold)
    return file
