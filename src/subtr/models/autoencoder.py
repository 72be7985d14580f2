"""The temporal autoencoder, and vectors fitted to what is heard."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor, nn
from tqdm.auto import tqdm

from subtr.datasets.study import Study
from subtr.models.batches import window_batches
from subtr.models.stream import Stream
from subtr.params import Strict
from subtr.stimulus.mel import MelSettings
from subtr.stimulus.pretrained import WhisperNetwork, WhisperSpectrum
from subtr.stimulus.speech import WhisperEncoder
from subtr.timeline import consecutive


class TemporalAutoencoder(nn.Module):
    """Frames -> ``floats_per_tr`` numbers a TR -> frames.

    Arguments
        stream: ends in a vector of ``floats_per_tr`` numbers, all that the decoder gets of a TR.
        decoder: vectors -> frames of every TR, see `subtr.decoders`.
    """

    def __init__(self, stream: Stream, decoder: nn.Module):
        super().__init__()
        self.stream, self.decoder = stream, decoder

    def forward(
        self, frames: Float[Tensor, "batch tr frame *feature"], tr_s: float
    ) -> Float[Tensor, "batch tr frame *feature"]:
        return self.decoder(self.stream(frames, tr_s))


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


class VectorFitParams(Strict):
    """How vectors are fitted to the decoder, see `fitted_vectors`.

    ``steps``: 0 for what the encoder gives at once. ``step``: the first of them. ``features``: of
    speech, which are fitted to beside the squared error; slower by far.
    """

    steps: int = Field(0, ge=0, le=1000)
    step: float = Field(0.05, gt=0, le=10)
    features: FeatureParams | None = None

    @model_validator(mode="after")
    def _steps_to_fit_by(self):
        if self.features is not None and not self.steps:
            raise ValueError(
                "steps = 0: expected 1 or more with features, which nothing is fitted to otherwise"
            )
        return self

    def check(self) -> None:
        """Nothing, if what the features come from is at hand; raises SpeechModelError."""
        if self.features is not None:
            WhisperEncoder(self.features.model)


_MOST_TRS = 64

NO_FIT = VectorFitParams()


@torch.enable_grad()
def fitted_vectors(
    decoder: nn.Module,
    vectors: Float[Tensor, "tr dim"],
    frames: Float[Tensor, "tr frame *feature"],
    n_steps: int,
    step: float = 0.05,
    features: FeatureError | None = None,
) -> Float[Tensor, "tr dim"]:
    """Moves the vector of each TR so that the decoder draws that TR better.

    A decoder that is not linear has better vectors than those that an encoder gives at once. Each
    TR's vector is moved for its own frames alone, while the vectors of its neighbours, which the
    decoder draws the borders from, stay as the encoder gave them: what is known of a TR still comes
    from that TR. Weights do not change.

    Arguments
        decoder: vectors of consecutive TRs -> frames, see `subtr.decoders`.
        vectors: of consecutive TRs, from the encoder.
        frames: of the same TRs, as they entered the encoder.
        n_steps: of Adam; 0 gives the vectors back.
        step: its first step, in units of the vector; the last is near 0.
        features: whose error is added, TR by TR, to the mean squared error.

    Source: Kim et al. 2018 (semi-amortised inference), section 3, with the squared error as loss.
    """
    if n_steps == 0:
        return vectors.detach()
    given = F.pad(vectors.detach(), (0, 0, 1, 1))
    # TRs do not depend on one another's steps, so that memory is bounded by taking a few at once.
    parts = zip(
        *(of.split(_MOST_TRS) for of in (given[:-2], given[1:-1], given[2:], frames)), strict=True
    )
    n_parts = -(-len(frames) // _MOST_TRS)
    shown = tqdm(parts, desc="fitting vectors", total=n_parts, delay=3, disable=None)
    fitted = [_fitted(decoder, part[:3], part[3], n_steps, step, features) for part in shown]
    return torch.cat(fitted)


def _fitted(decoder, neighbours, frames, n_steps, step, features) -> Tensor:
    before, vectors, after = neighbours
    found = vectors.detach().clone().requires_grad_()
    heard = None if features is None else features.of(frames)
    optimiser = torch.optim.Adam([found], lr=step)
    for index in range(n_steps):
        optimiser.param_groups[0]["lr"] = step * (1 - index / n_steps) ** 0.5
        drawn = decoder(torch.stack([before, found, after], dim=1))[:, 1]
        loss = (drawn - frames).square().sum()
        if heard is not None:
            # As a sum like the first: as many times as a TR has values.
            loss = loss + frames[0].numel() * heard(drawn).sum()
        # Of the vectors alone: the decoder must not learn from the TRs that it is judged by.
        (found.grad,) = torch.autograd.grad(loss, [found])
        optimiser.step()
    return found.detach()


@dataclass(frozen=True)
class Autoencoder:
    """A trained autoencoder with what it was trained on.

    Arguments
        model: in eval mode.
        n_floats: numbers a TR.
        frames: the stimulus as it enters the model: standardised log-mel, or pictures from 0 to 1.
        center, scale: bring log-mel back to its own units; 0 and 1 for pictures.
        history: of the training.
    """

    model: TemporalAutoencoder
    n_floats: int
    frames: Float[Tensor, "tr frame *feature"]
    center: Float[Tensor, "..."]
    scale: Float[Tensor, ""]
    history: pd.DataFrame

    @torch.no_grad()
    def reconstruct(
        self,
        trs: Int[np.ndarray, " _"],
        study: Study,
        fit: VectorFitParams = NO_FIT,
        carried: Callable[[Tensor], Tensor] | None = None,
    ) -> Float[Tensor, "_ frame *feature"]:
        """TRs of the study as they come back, in the stimulus's own units.

        On a GPU where there is one.

        Arguments
            fit: of the vectors to the decoder.
            carried: what becomes of the vectors (TR, dim) on their way to the decoder, such as
                rounding; None for nothing.
        """
        tr_s, found = study.clock.tr_s, []
        device = "cuda" if torch.cuda.is_available() else "cpu"
        # A copy: whoever else has the model finds it where it was.
        model = deepcopy(self.model).to(device)
        units = (self.frames.shape[1], self.center, self.scale)
        features = fit.features and fit.features.error(study.mel_settings, tr_s, *units)
        for batch in window_batches(self.frames, consecutive(trs, study.run_of_tr)):
            frames = batch["frames"][0].to(device)
            vectors = model.stream(frames[None], tr_s)[0]
            vectors = fitted_vectors(model.decoder, vectors, frames, fit.steps, fit.step, features)
            if carried is not None:
                vectors = carried(vectors.to(self.frames.device)).to(device)
            found.append(model.decoder(vectors[None])[0].to(self.frames.device))
        return torch.cat(found) * self.scale + self.center
