"""From log-mel to waveform: vocoders by name, which one to choose, and WAV files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import soundfile
from jaxtyping import Float
from pydantic import Field, model_validator

from subtr.decoders.griffin_lim import GriffinLim, Vocoder
from subtr.decoders.hifi_gan import HifiGan, WeightsError
from subtr.params import Registry, SettingsError, Strict, SubtrError, whole_file
from subtr.stimulus.mel import MelSettings

VOCODERS = Registry("vocoder", {one.name: one for one in (GriffinLim, HifiGan)})
Content = Literal["speech", "music", "mixed"]


class Chosen(NamedTuple):
    """A vocoder, and in one line which it is and why."""

    vocoder: Vocoder
    why: str


class VocoderParams(Strict):
    """``vocoder`` of a study's params file.

    ``name``: of a vocoder, or "auto" to choose by ``content``, what the sound mostly is.
    ``options``: those of the vocoder that is named.
    """

    name: str = "auto"
    content: Content = "mixed"
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self):
        if self.name != "auto":
            VOCODERS.check(self.name, self.options)
        elif self.options:
            raise ValueError("options are those of one vocoder: expected its name with them")
        return self

    def choose(self, settings: MelSettings) -> Chosen:
        """The vocoder for spectrograms that were made by these settings.

        Raises
            SettingsError: the vocoder that is named was made for others.
            WeightsError: its weights cannot be had.
        """
        if self.name == "auto":
            return choose_vocoder(self.content, settings)
        vocoder = VOCODERS.build(self.name, settings, **self.options)
        return Chosen(vocoder, f"Sound by {self.name}, as the params file says.")


def choose_vocoder(content: Content, settings: MelSettings) -> Chosen:
    """HiFi-GAN for speech where its weights are there and the spectrograms fit, else Griffin-Lim.

    Of what systems reconstruct, HiFi-GAN makes the speech that is understood and liked better. An
    exact spectrogram Griffin-Lim returns more faithfully, music above all.

    Arguments
        content: what the sound mostly is. HiFi-GAN learned from speech alone.
        settings: of the spectrograms.
    """
    why = f"the sound is {content}, and hifi_gan knows speech alone"
    if content == "speech":
        try:
            return Chosen(HifiGan(settings), f"Sound by {HifiGan.name}: the sound is speech.")
        except (SettingsError, WeightsError) as error:
            why = str(error)
    return Chosen(GriffinLim(settings), f"Sound by {GriffinLim.name}: {why}")


class SoundError(SubtrError, OSError):
    """A sound file cannot be written; the message names it and says what to do."""


def write_sound(
    path: Path | str,
    sound: Float[np.ndarray, " sample"] | Iterable[Float[np.ndarray, "_"]],
    rate_hz: int,
) -> Path:
    """Writes mono sound as a 16-bit file (wav, flac or ogg by its ending); louder parts clip.

    Arguments
        path: where to; written beside it first, so that half a sound never has this name.
        sound: samples, or pieces of them as `Vocoder.stream` gives them.
        rate_hz: samples per second.

    Raises
        SoundError: unknown ending, or the folder cannot be written.
    """
    path = Path(path)
    pieces = [sound] if isinstance(sound, np.ndarray) else sound
    if path.suffix[1:].upper() not in soundfile.available_formats():
        raise _cannot(path, f"unknown ending {path.suffix!r}")
    try:
        # The name of a part says nothing of its format.
        with (
            whole_file(path) as part,
            soundfile.SoundFile(part, "w", rate_hz, 1, format=path.suffix[1:]) as file,
        ):
            for piece in pieces:
                file.write(np.clip(piece, -1.0, 1.0))
    except (soundfile.LibsndfileError, OSError) as error:
        raise _cannot(path, error) from error
    return path


def _cannot(path: Path, why: object) -> SoundError:
    return SoundError(
        f"{path} cannot be written: {why}. Expected a .wav, .flac or .ogg file in a folder that "
        "exists and that you can write to."
    )
