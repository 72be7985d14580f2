"""What a speech model hears in a study, beside the other features that the study has."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from subtr.params import StudyError
from subtr.stimulus.speech import SpeechFeatureParams, open_speech_model, speech_features_of_media
from subtr.study import Study
from subtr.timeline import Clock


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
