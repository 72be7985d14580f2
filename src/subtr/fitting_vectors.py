"""Vectors that the decoder makes most of: synthesis tells what the encoder should have said."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn
from tqdm.auto import tqdm

from subtr.feature_error import FeatureError, FeatureParams
from subtr.params import Strict
from subtr.stimulus.mel import MelSettings
from subtr.stimulus.speech import WhisperEncoder


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

    def error(
        self, settings: MelSettings, tr_s: float, n_frames: int, center: Tensor, scale: Tensor
    ) -> FeatureError | None:
        """That of the features, see `FeatureParams.error`; None where there are none to fit."""
        if self.features is None:
            return None
        return self.features.error(settings, tr_s, n_frames, center, scale)


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
