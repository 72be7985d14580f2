"""Scores of what needs no training by gradient, beside those of learned systems."""

from subtr.bold_scores import bold_rows, ceiling_rows
from subtr.experiment_data import ExperimentData
from subtr.rivals import Rival, bold_rivals, picture_rivals, sound_rivals
from subtr.scoring import Row


def rival_rows(experiment: ExperimentData, labels: Row) -> list[Row]:
    """Rows of mean, nearest, Lanczos, PCA and ridge, and of the noise ceiling.

    Reconstructions are kept in the run folder of the experiment.
    """
    rows: list[Row] = []
    study, splits = experiment.study, experiment.reconstruction_splits
    sizes = experiment.params.pca_floats
    if study.mel is not None:
        found = sound_rivals(study, splits, sizes, experiment.vocoder.vocoder)
        rows += _reconstructed(experiment, "sound", found, labels)
    if study.pictures is not None:
        # More components than pictures of a short film can tell apart would say little.
        found = picture_rivals(study, splits, sizes[:1])
        rows += _reconstructed(experiment, "pictures", found, labels)
    if study.bold:
        for name, n_floats, found in bold_rivals(experiment.folds):
            named = labels | {"system": name, "floats_per_tr": n_floats}
            rows += bold_rows(found, experiment.held_out, found, **named)
        rows += ceiling_rows(experiment.held_out, **labels | {"system": "noise ceiling"})
        rows += [row | labels for row in experiment.lags]
    return rows


def _reconstructed(
    experiment: ExperimentData, modality: str, found: list[Rival], labels: Row
) -> list[Row]:
    rows = []
    for name, n_floats, windows in found:
        named = labels | {"system": name, "floats_per_tr": n_floats}
        rows += experiment.score(modality, windows, named)
        title = f"{name} {n_floats}" if name == "PCA" else name
        experiment.store.keep_windows(title, modality, windows, None)
    return rows
