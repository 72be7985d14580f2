"""What is made of a film, checked before anything long begins."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from subtr.decoders.vocoders import VocoderParams
from subtr.models.autoencoder import NO_FIT, VectorFitParams
from subtr.models.saved import SavedAutoencoder, load_autoencoder
from subtr.params import SettingsError, StudyWarning
from subtr.stimulus.cache import file_digest
from subtr.stimulus.media import MediaError, MediaInfo, probe
from subtr.timeline import Clock

# Raise it when the same job gives other blocks.
_FORMAT = 1


@dataclass(frozen=True)
class FilmPlan:
    """A film, and the trained autoencoders that it goes through.

    Arguments
        info: of the film.
        models: "sound", "pictures" or both.
        clock: TRs from second 0 to beyond the film's end.
        fit: of the vectors to the decoder, see `subtr.models.autoencoder`.
        vocoder: what the log-mel is heard through.
        job: all that the result depends on, the files by their content.
    """

    info: MediaInfo
    models: dict[str, SavedAutoencoder]
    clock: Clock
    fit: VectorFitParams
    vocoder: VocoderParams
    job: dict[str, Any]

    def clock_of(self, modality: str) -> Clock:
        """The clock with as many frames a TR as the model of the modality has."""
        return self.clock.with_frames(self.models[modality].spec.stream.frames_per_tr)


def plan_film(
    film: Path | str,
    model_files: Sequence[Path | str],
    tr_s: float | int | None = None,
    fit: VectorFitParams = NO_FIT,
    vocoder: VocoderParams | None = None,
) -> FilmPlan:
    """Checks that film and models fit together.

    Arguments
        film: a media file.
        model_files: one of sound, one of pictures, or either, see `subtr.models.saved`.
        tr_s: seconds of a TR, any; None for that of the study that the models were trained on.
        fit: of the vectors to the decoder; features of speech are of sound alone.
        vocoder: None to choose for mixed sound.

    A track that the film lacks is left out with a ``StudyWarning``.

    Raises
        MediaError: the film cannot be used, or has none of the tracks that the models need.
        SpeechModelError: the weights of the features are not installed.
        SettingsError: a file is no trained autoencoder, two are of the same modality, their TRs
            differ, or a value is out of range.
    """
    info, files = probe(film), {}
    models: dict[str, SavedAutoencoder] = {}
    for file in map(Path, model_files):
        model = load_autoencoder(file)
        modality = model.spec.modality
        if modality in models:
            raise SettingsError(f"{file} and {files[modality]} are both of {modality}: give one.")
        models[modality], files[modality] = model, file
    models = _present(info, models)
    clock = Clock(_tr_s(models, tr_s), n_trs=1)
    fit.check()
    # A last TR that the film ends in is made too, and cut where the film ends.
    clock = replace(clock, n_trs=max(1, math.ceil(info.duration_s / clock.tr_s - 1e-6)))
    vocoder = vocoder or VocoderParams()
    job = {"format": _FORMAT, "film": file_digest(film), "tr_s": clock.tr_s}
    job |= {"fit": fit.model_dump(mode="json")}
    job |= {modality: file_digest(files[modality]) for modality in models}
    if "sound" in models:
        # Chosen here too, for a vocoder that does not fit should not be found out at the end.
        chosen = vocoder.choose(models["sound"].spec.mel).vocoder.name
        job |= {"vocoder": vocoder.model_dump(mode="json") | {"name": chosen}}
    return FilmPlan(info, models, clock, fit, vocoder, job)


def _present(info: MediaInfo, models: dict[str, SavedAutoencoder]) -> dict[str, SavedAutoencoder]:
    """The models of the tracks that the film has."""
    if not models:
        raise SettingsError("No trained autoencoder given: expected one of sound or of pictures.")
    has = {"sound": info.sound_rate_hz is not None, "pictures": info.width is not None}
    present = {modality: model for modality, model in models.items() if has[modality]}
    if not present:
        raise MediaError(
            f"{info.path} has no {' and no '.join(models)}, and there is no model of anything "
            "else. Give another film, or a model of what it has."
        )
    for modality in sorted(set(models) - set(present)):
        message = f"{info.path} has no {modality}: {modality} are left out."
        warnings.warn(message.replace("sound are", "it is"), StudyWarning, stacklevel=3)
    return present


def _tr_s(models: dict[str, SavedAutoencoder], tr_s: float | int | None) -> float:
    if tr_s is not None:
        return float(tr_s)
    found = {modality: model.spec.tr_s for modality, model in models.items()}
    if len(set(found.values())) > 1:
        raise SettingsError(
            f"The models were trained at different TRs, {found}: say by tr_s which TR to use."
        )
    return next(iter(found.values()))
