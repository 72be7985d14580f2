"""A study: clock, stimulus and BOLD on one timeline; and one fold of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Float64, Int64, UInt8
from pydantic import BaseModel

from subtr.bold.cleaning import masked_bold
from subtr.metrics.bold import known_mean, standardised
from subtr.params import StudyError
from subtr.stimulus.mel import MelSettings
from subtr.stimulus.speech import SpeechFeatureParams, open_speech_model, speech_features_of_media
from subtr.timeline import HRF_DURATION_S, Clock, Split, block_splits


@dataclass(frozen=True, repr=False)
class Study:
    """Everything that models, baselines and scores need to know about a study.

    Arguments
        name: the study's, as in results tables.
        clock: the scanner's volumes, laid over the stimulus.
        mel: log-mel spectrogram (TR, frame, mel), or None for a silent stimulus.
        mel_settings: how it was made.
        other_mel: log-mel of other recordings, which systems may learn from and are never tested
            on, see `subtr.training.recordings`.
        pictures: 0 to 255 (TR, frame, height, width, rgb), or None without a picture track.
        features: what people noted about the stimulus, frame by frame (TR, frame, feature), so that
            it keeps when within a TR something began; None without. Predictors of BOLD are shown
            it as they would be shown sound, where there is no sound (see ``frames``).
        feature_names: of the features.
        bold: subject -> BOLD (TR, parcel), any unit. NaN marks what must not be used. Empty for a
            study without BOLD.
        parcels: index: names of parcels; column ``tuning``: their class, or region.
        regressors: name -> per-TR values (TR, value) of what is known about the stimulus.
        convolved: names of regressors that went through an HRF already.
        confounds: subject -> (TR, confound), such as head motion, that models and scores regress
            out of the BOLD, by weights of the training TRs.
        run_of_tr: run of each TR; one run when omitted.
        run_stimuli: for each run, its media file and the second of it at which the run's first TR
            begins; empty where one file goes on along the clock.
        bold_lag_s: by how much BOLD should lag the stimulus in a lag scan; 0 if already shifted.
        hrf_applied: whether regressors went through an HRF already, or the BOLD was shifted back
            by its lag: then stimulus and BOLD of the same TR belong together, and another delay
            would count the lag twice.
        truth: subject -> name -> what only a simulation knows, such as noise-free BOLD.
        media: the stimulus file; None without, or with one for each run.
        sources: files of the user's that all this was read from.
        labels: one row a TR, of a simulation.
        notes: what a reader of results must know.

    Missing volumes, volumes that only repeat the last one of a scan that was cut short, and
    constant parcels are masked by NaN, and a subject of whom nothing remains is left out: each
    with a ``StudyWarning`` and a note, see `subtr.bold.cleaning`. BOLD may lie on disk (np.memmap,
    as `subtr.datasets.film` gives it); it is then read subject by subject.

    Raises
        StudyError: BOLD and stimulus differ in length, or subjects or tables in their parcels; or
            no subject's BOLD can be used.

    Example
        >>> import subtr as st
        >>> study = st.load_study("simulated", duration_s=60, n_subjects=2, frames_per_tr=16)
        >>> study.audio.shape[:2], len(study.bold["simulated 1"])
        ((40, 16), 40)
    """

    name: str
    clock: Clock
    # Lengths are left open (_) here, because a wrong one gets an error that says what to do.
    mel: Float32[np.ndarray, "_ frame mel"] | None = None
    mel_settings: MelSettings = field(default_factory=MelSettings)
    other_mel: tuple[Float32[np.ndarray, "_ frame mel"], ...] = ()
    pictures: UInt8[np.ndarray, "_ picture height width 3"] | None = None
    features: Float32[np.ndarray, "_ frame feature"] | None = None
    feature_names: tuple[str, ...] = ()
    bold: dict[str, Float[np.ndarray, "_ _"]] = field(default_factory=dict)
    parcels: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"tuning": []}))
    regressors: dict[str, Float[np.ndarray, "_ _"]] = field(default_factory=dict)
    convolved: tuple[str, ...] = ()
    confounds: dict[str, Float[np.ndarray, "_ _"]] = field(default_factory=dict)
    run_of_tr: Int64[np.ndarray, " _"] | None = None
    run_stimuli: tuple[tuple[Path | None, float], ...] = ()
    bold_lag_s: float = 5.0
    hrf_applied: bool = False
    truth: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    media: Path | None = None
    sources: tuple[Path, ...] = ()
    labels: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        if self.run_of_tr is None:
            object.__setattr__(self, "run_of_tr", np.zeros(self.clock.n_trs, np.int64))
        lengths = {"run_of_tr": self.run_of_tr, "mel": self.mel, "pictures": self.pictures}
        lengths["features"] = self.features
        lengths |= {f"regressor {name}": values for name, values in self.regressors.items()}
        lengths |= {f"confounds of {name}": values for name, values in self.confounds.items()}
        for name, values in lengths.items():
            if values is not None and len(values) != self.clock.n_trs:
                raise StudyError(_length_message(self.name, name, len(values), self.clock))
        for subject, bold in self.bold.items():
            if len(bold) != self.clock.n_trs:
                what = f"BOLD of {subject}"
                raise StudyError(_length_message(self.name, what, len(bold), self.clock))
            if bold.shape[1] != len(self.parcels):
                raise StudyError(
                    f"{self.name}: BOLD of {subject} has {bold.shape[1]} parcels, the parcel table "
                    f"{len(self.parcels)} ({', '.join(map(str, self.parcels.index[:6]))}, ...). "
                    "Give one column of BOLD per row of the table."
                )
        n_features = 0 if self.features is None else self.features.shape[-1]
        if len(self.feature_names) != n_features:
            raise StudyError(
                f"{self.name}: {n_features} features, {len(self.feature_names)} names of features. "
                "Give one name a feature."
            )
        if self.bold:
            bold, notes = masked_bold(
                self.name, self.bold, self.parcels, self.run_of_tr, self.notes
            )
            object.__setattr__(self, "bold", bold)
            object.__setattr__(self, "notes", notes)

    @property
    def audio(self) -> Float32[np.ndarray, "tr frame mel"] | None:
        """The log-mel spectrogram of each TR, ``mel``; None for a silent stimulus."""
        return self.mel

    @property
    def video(self) -> UInt8[np.ndarray, "tr picture height width 3"] | None:
        """The pictures of each TR, ``pictures``; None without a picture track."""
        return self.pictures

    def __repr__(self):
        parts = [f"{self.clock.n_trs} TRs of {self.clock.tr_s:g} s"]
        if self.mel is not None:
            parts.append("audio " + " x ".join(map(str, self.mel.shape[1:])))
        if self.pictures is not None:
            parts.append("video " + " x ".join(map(str, self.pictures.shape[1:4])))
        if self.features is not None:
            parts.append(f"{len(self.feature_names)} features")
        if self.bold:
            parts.append(f"{len(self.bold)} subjects x {len(self.parcels)} parcels")
        return f"Study({self.name!r}: {', '.join(parts)})"

    @property
    def subjects(self) -> list[str]:
        """Names of the subjects."""
        return list(self.bold)

    @property
    def frames(self) -> Float32[np.ndarray, "tr frame value"] | None:
        """What a predictor of BOLD is shown frame by frame: sound, else features, else None."""
        return self.features if self.mel is None else self.mel

    def stimulus_at(self, tr: int) -> tuple[Path | None, float]:
        """The media file that was on at the start of a TR, and the second of it."""
        if not self.run_stimuli:
            return self.media, self.clock.onset_s + tr * self.clock.tr_s
        runs = list(dict.fromkeys(self.run_of_tr.tolist()))
        run = int(self.run_of_tr[tr])
        media, onset_s = self.run_stimuli[runs.index(run)]
        first = int(np.flatnonzero(self.run_of_tr == run)[0])
        return media, onset_s + (tr - first) * self.clock.tr_s

    def of_subjects(self, *names: str) -> "Study":
        """The study with the BOLD of these subjects alone."""
        return replace(self, bold={name: self.bold[name] for name in names})

    def group_mean(self) -> Float64[np.ndarray, "tr parcel"]:
        """Mean over subjects of z-scored BOLD, leaving out what is masked; for description.

        z-scores here are over all TRs: models fit their own on train (see ``subtr.bold.cleaning``).
        """
        if not self.bold:
            raise StudyError(f"{self.name} has no BOLD to average.")
        z = [standardised(np.asarray(bold, dtype=np.float64)) for bold in self.bold.values()]
        return known_mean(np.stack(z), axis=0)

    def splits(
        self,
        n_folds: int = 5,
        gap_s: float = HRF_DURATION_S,
        validation_fraction: float = 0.1,
    ) -> list[Split]:
        """Blocks of time for training, validation and test: see ``splits.block_splits``."""
        return block_splits(self.run_of_tr, self.clock.tr_s, n_folds, gap_s, validation_fraction)

    def folds(
        self,
        n: int = 5,
        gap_s: float = HRF_DURATION_S,
        validation_fraction: float = 0.1,
        drift_order: int = 2,
    ) -> list["Fold"]:
        """The same blocks, each with the study: what models are fitted to and scored on."""
        splits = self.splits(n, gap_s, validation_fraction)
        return folds_of(self, splits, label=f"{self.name},", drift_order=drift_order)


@dataclass(frozen=True, eq=False, repr=False)
class Fold:
    """A study, one split of its time, and how a model of it is trained.

    Arguments
        split: of the study's TRs. Models learn from train and are chosen by validation; test is
            for scores alone.
        params: of the model, as a params file gives them.
        folder: for checkpoints; a training that was cut short goes on from there.
        seed: of the first weights, and of all else that is random in a training.
        label: what progress and errors call it.
        teacher: whom the model follows where ``params.teacher`` asks for it: the fold of another
            system on the same split, trained when it is needed, or what came out of its training.
        drift_order: order of the Legendre polynomials that are taken out of BOLD as its drift.

    Example
        >>> import subtr as st
        >>> study = st.load_study("simulated", duration_s=180, n_subjects=2, frames_per_tr=16)
        >>> study.folds(2, gap_s=16.0)[0]
        Fold('simulated, fold 0': 26 train, 12 validation, 60 test TRs)
    """

    study: Study
    split: Split
    params: BaseModel | None = None
    folder: Path | None = None
    seed: int = 0
    label: str = ""
    teacher: Any = None
    drift_order: int = 2

    @property
    def train(self) -> Int64[np.ndarray, " train"]:
        """TRs to learn from."""
        return self.split.train

    @property
    def validation(self) -> Int64[np.ndarray, " validation"]:
        """TRs to choose by."""
        return self.split.validation

    @property
    def test(self) -> Int64[np.ndarray, " test"]:
        """TRs to be judged on."""
        return self.split.test

    @property
    def known(self) -> Int64[np.ndarray, " known"]:
        """Train and validation together, ascending."""
        return np.sort(np.concatenate([self.train, self.validation]))

    def using(self, **changes: Any) -> "Fold":
        """The same fold with other fields, such as ``params``, ``seed`` or ``folder``."""
        return replace(self, **changes)

    def __repr__(self):
        parts = ("train", "validation", "test")
        sizes = ", ".join(f"{len(getattr(self, part))} {part}" for part in parts)
        return f"Fold({self.label or self.study.name!r}: {sizes} TRs)"


def folds_of(
    study: Study,
    splits: Sequence[Split],
    folder: Path | None = None,
    label: str = "",
    **fields: Any,
) -> list[Fold]:
    """A fold of each split, in ``fold0``, ``fold1``, ... of a folder.

    Arguments
        label: comes before "fold 0" and so on.
        fields: others of `Fold`, the same for all.
    """
    return [
        Fold(
            study,
            split,
            folder=None if folder is None else folder / f"fold{index}",
            label=f"{label} fold {index}",
            **fields,
        )
        for index, split in enumerate(splits)
    ]


def _length_message(study: str, what: str, n_trs: int, clock: Clock) -> str:
    shorter = "shorter" if n_trs < clock.n_trs else "longer"
    return (
        f"{study}: {what} has {n_trs} TRs ({n_trs * clock.tr_s:g} s), {shorter} than the stimulus "
        f"clock's {clock.n_trs} TRs ({clock.duration_s:g} s) at tr_s = {clock.tr_s:g} s. Set n_trs "
        "and onset_s to the volumes that the stimulus covers, or cut the other; if both last "
        f"equally long, the TR is {clock.duration_s / n_trs:.4g} s: set tr_s."
    )


def with_speech_features(study: Study, params: SpeechFeatureParams) -> Study:
    """The study with the features of a speech model beside those it has, and a note of which.

    Raises
        StudyError: a run without a sound file.
        SpeechModelError, SettingsError: see `open_speech_model`.
        MediaError, CacheError: see `speech_features_of_media`.
    """
    model = open_speech_model(params.model, params.layer)
    parts = [speech_features_of_media(media, clock, model, params) for media, clock in _runs(study)]
    found = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if study.features is not None:
        found = np.concatenate([study.features, found], axis=-1)
    names = tuple(f"{params.model} {number}" for number in range(parts[0].shape[-1]))
    learned = "transcribed speech (supervised)" if model.supervised else "sound without labels"
    note = (
        f"{study.name}: features of {params.model}, layer {params.layer}, learned from {learned}."
    )
    return replace(
        study,
        features=found,
        feature_names=(*study.feature_names, *names),
        notes=(*study.notes, note),
    )


def _runs(study: Study) -> Iterator[tuple[Path, Clock]]:
    """Each run's file and clock; one for the whole study where one file goes on along the clock."""
    firsts = [0]
    if study.run_stimuli:
        firsts += [*(np.flatnonzero(np.diff(study.run_of_tr)) + 1)]
    for first, after in zip(firsts, [*firsts[1:], study.clock.n_trs], strict=True):
        media, onset_s = study.stimulus_at(int(first))
        if media is None:
            raise StudyError(
                f"{study.name}: no sound file at TR {first}, so there are no speech_features. Give "
                "the film or the recording, or leave speech_features out."
            )
        yield media, replace(study.clock, onset_s=onset_s, n_trs=int(after - first))
