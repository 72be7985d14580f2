"""What ``study_<name>.yaml`` and ``system_<name>.yaml`` may say."""

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from subtr.datasets.study import Study
from subtr.decoders.vocoders import VocoderParams
from subtr.params import SettingsError, Strict, unhashed_default, validate
from subtr.stimulus.speech import SpeechFeatureParams
from subtr.timeline import HRF_DURATION_S, Split
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
    ``pca_floats``: sizes of the PCA rival. ``vocoder``: what sound is heard through. ``judged_s``:
    seconds of the test block that judges hear and see, which takes some minutes a minute; 0 spares
    them.
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

    ``ablations``: component -> what stands in its place, by dotted path, for `subtr.ablation`:
    ``no encoder: {sound.stream.encoder: {name: linear}}``.
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
