"""What notebooks call on a study under one parameter set: trains, scores, and keeps results."""

import pandas as pd

from subtr.experiment_data import ExperimentData
from subtr.experiment_params import StudyParams, SystemParams
from subtr.params import git_hash, params_hash
from subtr.results import read_table
from subtr.rival_scoring import rival_rows
from subtr.scoring import Row
from subtr.system_training import prediction_rows, reconstruction_rows

__all__ = ["Experiment", "StudyParams", "SystemParams"]


class Experiment(ExperimentData):
    """A study and its parameters, with what is trained and scored on it.

    Made by `open`. Whatever is finished is read from the run folder, not repeated.
    """

    def train(self, name: str, seed: int = 0) -> pd.DataFrame:
        """Trains a system on every part of the study that it has parameters for, and scores it.

        Keeps a table, histories and reconstructions in the run folder.

        Returns
            The rows of its results table.
        """
        system = self.system(name)
        labels = {"study": self.study.name, "system": name, "seed": seed}
        labels["params_hash"] = params_hash(self.params, system)
        rows: list[Row] = []
        if system.sound and self.study.mel is not None:
            rows += reconstruction_rows(self, "sound", system.sound, labels)
        if system.pictures and self.study.pictures is not None:
            rows += reconstruction_rows(self, "pictures", system.pictures, labels)
        shown = self.study.frames is not None or (system.bold and system.bold.pictures)
        if system.bold and self.study.bold and shown:
            rows += prediction_rows(self, system.bold, labels)
            rows += [row | labels for row in self.lags]
        sizes = [part.floats_per_tr for part in (system.sound, system.pictures) if part]
        self.store.forget_other_sizes(name, seed, [size for of in sizes for size in of])
        return self.keep_rows(f"{name}_seed{seed}", rows)

    def rivals(self) -> pd.DataFrame:
        """Scores what needs no training by gradient: mean, nearest, Lanczos, PCA, ridge.

        Read from the run folder where the same parameters and code scored them before.

        Returns
            The rows of their results table.
        """
        of = params_hash(self.params, self.params.vocoder) + self.training_hash()
        labels = {"study": self.study.name, "seed": 0, "params_hash": of}
        file = self.folder / "tables" / "rivals.csv"
        if file.exists() and "-dirty" not in git_hash():
            kept = read_table(file)
            if set(kept["params_hash"]) == {of} and set(kept["git"]) == {git_hash()}:
                return kept
        return self.keep_rows("rivals", rival_rows(self, labels))
