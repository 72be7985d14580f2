"""An experiment's study, parameters, folds and files, before anything is trained."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Shaped
from matplotlib.figure import Figure
from pydantic import Field, model_validator

from subtr.datasets import load_study
from subtr.datasets.held_out import HeldOutBold, held_out_bold
from subtr.datasets.study import Fold, Study, folds_of, with_speech_features
from subtr.decoders.vocoders import Chosen, VocoderParams
from subtr.experiments.bold_scores import lag_rows
from subtr.experiments.results import (
    ResultsError,
    Row,
    check_writable,
    picture_rows,
    read_results,
    read_table,
    run_folder,
    sound_rows,
    write_results,
)
from subtr.params import (
    SettingsError,
    Strict,
    load_params,
    nearest,
    params_folder,
    params_hash,
    unhashed_default,
    validate,
)
from subtr.stimulus.cache import file_digest
from subtr.stimulus.speech import SpeechFeatureParams
from subtr.timeline import HRF_DURATION_S, Split
from subtr.training.recordings import files_of, with_other_recordings
from subtr.training.systems import BoldParams, PictureParams, SoundParams


class StudyParams(Strict):
    """What is loaded, how time is split, and what everything is compared with.

    ``load``: options of the study's loader. ``speech_features``: of a speech model, which systems
    may be shown or asked for, see `subtr.stimulus.speech`; None for none.
    ``other_recordings``: a folder of sound that systems with ``others_share`` learn from too, see
    `subtr.training.recordings`; None for none.
    ``gap_s``: seconds between training and test; None for the length of the haemodynamic response
    where there is BOLD, else for two TRs.
    ``reconstruction_folds``: how many of the folds train autoencoders; BOLD is predicted in all.
    ``pca_floats``: sizes of the PCA baseline. ``vocoder``: what sound is heard through.
    ``judged_s``: seconds of the test block that judges hear and see, which takes some minutes a
    minute; 0 spares them.
    """

    load: dict[str, Any] = Field(default_factory=dict)
    speech_features: SpeechFeatureParams | None = unhashed_default(None)
    other_recordings: Path | None = unhashed_default(None)
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    n_folds: int = Field(5, ge=2)
    gap_s: float | None = Field(None, ge=0)
    validation_fraction: float = Field(0.1, gt=0, lt=1)
    reconstruction_folds: int = Field(1, ge=1)
    drift_order: int = Field(2, ge=0, le=10)
    pca_floats: tuple[int, ...] = (64, 128, 512)
    # Left out of the hash of parameters, for no training depends on them.
    vocoder: VocoderParams = Field(VocoderParams(), exclude=True)
    judged_s: float = Field(60.0, ge=0, allow_inf_nan=False, exclude=True)

    def splits(self, study: Study) -> list[Split]:
        """Train, validation and test of every fold; raises as `Study.splits`."""
        gap_s = self.gap_s
        if gap_s is None:
            gap_s = HRF_DURATION_S if study.bold else 2 * study.clock.tr_s
        return study.splits(self.n_folds, gap_s, self.validation_fraction)


class SystemParams(Strict):
    """What is trained; a part that is left out is not.

    ``ablations``: component -> what stands in its place, by dotted path, for
    `subtr.experiments.analyses`: ``no encoder: {sound.stream.encoder: {name: linear}}``.
    """

    sound: SoundParams | None = None
    pictures: PictureParams | None = None
    bold: BoldParams | None = None
    ablations: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_ablations(self):
        for component in self.ablations:
            self.without(component)
        return self

    def parts_of(self, component: str) -> list[str]:
        """Of sound, pictures and bold, those that an ablation changes."""
        return sorted({path.split(".")[0] for path in self.ablations[component]})

    def without(self, component: str) -> "SystemParams":
        """The system with something else in a component's place.

        Raises
            SettingsError: no such option, or no such value of it.
        """
        changed = self.model_dump(exclude={"ablations"}, exclude_none=True)
        for path, value in self.ablations[component].items():
            *above, last = path.split(".")
            place = changed
            for key in above:
                place = place.get(key) if isinstance(place, dict) else None
            if not isinstance(place, dict):
                raise SettingsError(
                    f"ablations.{component}: {path} is no option of this system; expected one such "
                    "as sound.stream.encoder."
                )
            place[last] = value
        return validate(SystemParams, changed, f"ablations.{component}")


@dataclass(frozen=True)
class Store:
    """The folder of a run."""

    folder: Path

    def keep_windows(
        self, name: str, modality: str, windows: Shaped[np.ndarray, "..."], seed: int | None
    ):
        """Keeps the reconstruction of the test TRs; a seed of None belongs to every seed."""
        # Half precision is far finer than what a reconstruction gets wrong.
        kept = windows.astype(np.float16) if modality == "sound" else windows
        stem = f"{name.replace(' ', '-')}_{modality}" + ("" if seed is None else f"_seed{seed}")
        file = self._in("reconstructions") / f"{stem}.npz"
        np.savez(
            file, windows=kept, name=name, modality=modality, seed=-1 if seed is None else seed
        )

    def windows(self, modality: str, seed: int) -> dict[str, Shaped[np.ndarray, "..."]]:
        """Name -> reconstruction, of one seed and of what has none."""
        found = {}
        for file in sorted(self._in("reconstructions").glob("*.npz")):
            with np.load(file) as kept:
                if str(kept["modality"]) == modality and int(kept["seed"]) in (seed, -1):
                    values = kept["windows"]
                    sound = modality == "sound"
                    found[str(kept["name"])] = values.astype(np.float32) if sound else values
        return found

    def keep_history(self, training: str, history: pd.DataFrame):
        """Keeps losses by epoch."""
        history.to_csv(self._in("histories") / f"{training}.csv", index=False)

    def history(self, beginning: str = "") -> pd.DataFrame:
        """Losses by epoch of the trainings whose name begins so, with a column ``training``."""
        files = sorted(self._in("histories").glob(f"{beginning}*.csv"))
        if not files:
            raise ResultsError(f"{self.folder}: no history of {beginning!r}; train it first.")
        parts = [pd.read_csv(file).assign(training=file.stem) for file in files]
        return pd.concat(parts, ignore_index=True)

    def forget_other_sizes(self, system: str, seed: int, sizes: Iterable[int]):
        """Removes what an earlier training of a system left at sizes that it has no more."""
        pattern = re.compile(rf"{re.escape(system)}[-_](\d+)_(\w+_)?seed{seed}(_\w+)?\.(npz|csv)")
        for folder in ("reconstructions", "histories"):
            for file in self._in(folder).iterdir():
                named = pattern.fullmatch(file.name)
                if named and int(named[1]) not in set(sizes):
                    file.unlink()

    def keep_figure(self, figure: Figure, name: str) -> Path:
        """Keeps figures/<name>.png."""
        file = self._in("figures") / f"{name}.png"
        figure.savefig(file, dpi=150, bbox_inches="tight")
        return file

    def _in(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@dataclass(frozen=True)
class ExperimentData:
    """A study, its parameters and the folder that keeps what comes out.

    Made by `open`. It trains nothing: that is done by functions which take it, and by
    `subtr.experiments.experiment.Experiment`. Another study, film, parameter or seed gets a place
    of its own, by hash.
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
        # What baselines, other seeds and other systems are given is irrelevant to a training.
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
        rows_of = sound_rows if modality == "sound" else picture_rows
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
