"""Which vocoder a study is heard through."""

from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from subtr.params import SettingsError, Strict
from subtr.stimulus.mel import MelSettings
from subtr.vocoders.griffin_lim import GriffinLim
from subtr.vocoders.hifi_gan import HifiGan
from subtr.vocoders.registry import VOCODERS
from subtr.vocoders.vocoder import Vocoder
from subtr.vocoders.weights import WeightsError

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
    if content != "speech":
        return _griffin_lim(settings, f"the sound is {content}, and hifi_gan knows speech alone")
    try:
        return Chosen(HifiGan(settings), f"Sound by {HifiGan.name}: the sound is speech.")
    except (SettingsError, WeightsError) as error:
        return _griffin_lim(settings, str(error))


def _griffin_lim(settings: MelSettings, why: str) -> Chosen:
    return Chosen(GriffinLim(settings), f"Sound by {GriffinLim.name}: {why}")
