"""How far a drawn TR is from the original in what a recogniser of speech makes of it."""

from collections.abc import Callable
from functools import cache
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from subtr.params import Strict
from subtr.stimulus.mel import MelSettings
from subtr.stimulus.pretrained import WhisperNetwork, WhisperSpectrum
from subtr.stimulus.speech import WhisperEncoder

Frames = Float[Tensor, "tr frame mel"]
ErrorOfTrs = Callable[[Frames], Float[Tensor, " tr"]]


class FeatureParams(Strict):
    """Features of speech that vectors are fitted to beside the squared error.

    ``model``: an encoder of Whisper. It learned from transcripts, so what is fitted to it is
    supervised, and must be judged by a recogniser with other weights. ``weight``: of the relative
    error of the features against the squared error of standardised log-mel.
    """

    model: Literal["whisper-tiny.en", "whisper-base"] = "whisper-tiny.en"
    weight: float = Field(1.0, gt=0, le=1000)

    def error(
        self, settings: MelSettings, tr_s: float, n_frames: int, center: Tensor, scale: Tensor
    ) -> "FeatureError":
        """See `FeatureError`.

        Raises
            SpeechModelError: the weights are not installed.
        """
        network = _network(self.model)
        spectrum = WhisperSpectrum(settings, tr_s, n_frames)
        return FeatureError(network, spectrum, center, scale, self.weight)


@cache
def _network(model: str) -> WhisperNetwork:
    return WhisperNetwork(WhisperEncoder(model).folder / "model.bin")


class FeatureError(nn.Module):
    """The squared error of features of each TR, relative to their variance, mean over layers.

    A TR is heard by itself: nothing of its neighbours enters. All layers are compared, for what
    agrees in the last alone need not be heard by other recognisers.

    Arguments
        network: log-mel as Whisper hears it -> its layers.
        spectrum: log-mel of a TR -> log-mel as Whisper hears it.
        center, scale: bring standardised log-mel back to its own units.
        weight: what the error is multiplied by.
    """

    def __init__(
        self,
        network: nn.Module,
        spectrum: nn.Module,
        center: Tensor,
        scale: Tensor,
        weight: float = 1.0,
    ):
        super().__init__()
        self.network, self.spectrum, self.weight = network, spectrum, weight
        self.register_buffer("center", center, persistent=False)
        self.register_buffer("scale", scale, persistent=False)

    def of(self, frames: Frames) -> ErrorOfTrs:
        """The error of what is drawn in place of these standardised frames, TR by TR."""
        self.to(frames.device)
        original = frames * self.scale + self.center
        with torch.no_grad():
            wanted = self.network(self.spectrum(original, original))
        spreads = [layer.var(dim=(1, 2)).clamp_min(1e-6) for layer in wanted]

        def error(drawn: Frames) -> Float[Tensor, " tr"]:
            found = self.network(self.spectrum(drawn * self.scale + self.center, original))
            of_layers = [
                (one - other).square().mean(dim=(1, 2)) / spread
                for one, other, spread in zip(found, wanted, spreads, strict=True)
            ]
            return self.weight * torch.stack(of_layers).mean(0)

        return error
