"""One study under one parameter set, and where everything that comes out of it is kept."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from subtr import scoring
from subtr.bold_scores import lag_rows
from subtr.datasets import load_study
from subtr.datasets.held_out import HeldOutBold, held_out_bold
from subtr.datasets.study import Fold, Study, folds_of, with_speech_features
from subtr.decoders.vocoders import Chosen
from subtr.experiment_params import StudyParams, SystemParams
from subtr.params import SettingsError, Strict, load_params, nearest, params_folder, params_hash
from subtr.results import check_writable, read_results, read_table, run_folder, write_results
from subtr.scoring import Row
from subtr.stimulus.cache import file_digest
from subtr.store import Store
from subtr.timeline import Split
from subtr.training.recordings import files_of, with_other_recordings


@dataclass(frozen=True)
class ExperimentData:
    """A study, its parameters and the folder that keeps what comes out.

    Made by `open`. It trains nothing: that is done by functions which take it, and by
    `subtr.experiment.Experiment`. Another study, film, parameter or seed gets a place of its own,
    by hash.
    """

    study: Study
    params: StudyParams
    folder: Path
    params_folder: Path
    identity: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(
        cls, study: str = "simulated", params: str = "smoke", film: str = "", runs: str = "runs"
    ) -> "ExperimentData":
        """Checks the parameters, loads the study and prepares the run folder.

        Arguments
            study: a name from `subtr.datasets.STUDIES`.
            params: a parameter set, by name or folder.
            film: a media file; the study of it, or the stimulus in place of the study's own.
            runs: the folder of all runs.

        Raises
            SubtrError: unknown name or value, unreadable film, unwritable folder.
        """
        where = params_folder(params)
        settings = load_params(StudyParams, where / f"study_{study}.yaml")
        folder = check_writable(run_folder(runs, params, study, film))
        media = Path(film).expanduser() if film else None
        loaded = load_study(study, settings.load, media)
        if settings.speech_features is not None:
            loaded = with_speech_features(loaded, settings.speech_features)
        if settings.other_recordings is not None:
            loaded = with_other_recordings(loaded, settings.other_recordings)
        return cls(loaded, settings, folder, where, {"study": study, "film": film})

    @cached_property
    def splits(self) -> list[Split]:
        """Train, validation and test of every fold."""
        return self.params.splits(self.study)

    @cached_property
    def folds(self) -> list[Fold]:
        """The same as folds of the study, whose BOLD loses as much drift as the parameters say."""
        label, drift_order = f"{self.study.name},", self.params.drift_order
        return folds_of(self.study, self.splits, label=label, drift_order=drift_order)

    @property
    def store(self) -> Store:
        """Histories, reconstructions and figures of this run."""
        return Store(self.folder)

    @cached_property
    def reconstruction_trs(self) -> np.ndarray:
        """The test TRs that autoencoders reconstruct."""
        return np.concatenate([split.test for split in self.reconstruction_splits])

    @property
    def reconstruction_splits(self) -> list[Split]:
        """The folds that autoencoders are trained on."""
        return self.splits[: self.params.reconstruction_folds]

    @cached_property
    def held_out(self) -> HeldOutBold:
        """The BOLD that predictions are scored against."""
        return held_out_bold(self.study, self.splits, self.params.drift_order)

    @cached_property
    def vocoder(self) -> Chosen:
        """What spectrograms are heard through, and why."""
        return self.params.vocoder.choose(self.study.mel_settings)

    @cached_property
    def lags(self) -> list[Row]:
        """By how much BOLD lags its stimulus, run by run; warns where the study says otherwise."""
        return lag_rows(self.study)

    def system(self, name: str) -> SystemParams:
        """The parameters of ``system_<name>.yaml``."""
        file = self.params_folder / f"system_{name}.yaml"
        if not file.is_file():
            files = self.params_folder.glob("system_*.yaml")
            known = sorted(one.stem.removeprefix("system_") for one in files)
            raise SettingsError(f"system = {name!r}: {file} does not exist{nearest(name, known)}")
        return load_params(SystemParams, file)

    def results(self) -> pd.DataFrame:
        """All tables of this run, as one."""
        return read_results(self.folder / "tables")

    def reconstructions(self, modality: str, seed: int = 0) -> dict[str, np.ndarray]:
        """Name -> reconstruction of `reconstruction_trs`, the original first.

        Arguments
            modality: "sound" (TR, frame, mel) or "pictures" (TR, picture, height, width, 3).
            seed: of the learned systems.
        """
        values = self.study.mel if modality == "sound" else self.study.pictures
        if values is None:
            return {}
        original = {"original": np.asarray(values)[self.reconstruction_trs]}
        return original | self.store.windows(modality, seed)

    def training_hash(self, *parts: Strict) -> str:
        """Of all that a training depends on; the user's own files count by their content."""
        # What rivals, other seeds and other systems are given is of no matter to a training.
        of_none = {"pca_floats": (), "seeds": ()}
        others = self.params.other_recordings
        if not any(getattr(part, "others_share", 0) for part in parts):
            of_none["other_recordings"] = others = None
        params = self.params.model_copy(update=of_none)
        film = self.identity.get("film")
        files = [Path(film).expanduser()] if film else []
        files += self.study.sources
        if folder := self.params.load.get("bold"):
            files += sorted(file for file in Path(folder).expanduser().iterdir() if file.is_file())
        if others is not None:
            files += files_of(others)
        text = "".join([params_hash(params, *parts), *map(file_digest, files)])
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def score(self, modality: str, found: np.ndarray, labels: Row) -> list[Row]:
        """Rows of a reconstruction of `reconstruction_trs`."""
        rows_of = scoring.sound_rows if modality == "sound" else scoring.picture_rows
        values = self.study.mel if modality == "sound" else self.study.pictures
        original = np.asarray(values)[self.reconstruction_trs]
        return rows_of(original, found, self.study.clock.tr_s, **labels)

    def keep_rows(self, name: str, rows: list[Row]) -> pd.DataFrame:
        """Writes a table of the run, and gives it back typed; raises SettingsError without rows."""
        if not rows:
            raise SettingsError(
                f"{name}: nothing to do for {json.dumps(self.identity)}. Give the system's YAML "
                "sound, pictures or bold that the study has too."
            )
        return read_table(write_results(self.folder / "tables" / f"{name}.csv", rows))
