"""What a system's YAML may say under ``loss``, whatever the modality."""

from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from subtr.discriminator_params import DiscriminatorParams
from subtr.losses import Diagnostics
from subtr.models.autoencoder import FeatureParams
from subtr.params import Strict, unhashed_default

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TrainingLoss(Strict):
    """The squared error, and discriminators if wanted; a modality's own class adds to it.

    Each part is a field, its weight. ``adversarial``: of the verdict of ``discriminators``.
    ``features``: of speech, whose error is added, see `subtr.models.autoencoder`; of sound alone.
    """

    adversarial: Weight = 0.0
    discriminators: DiscriminatorParams = DiscriminatorParams()
    features: FeatureParams | None = unhashed_default(None)

    @property
    def error_weight(self) -> float:
        """Of the squared error, `subtr.losses.reconstruction_loss`."""
        return 1.0

    def added(
        self,
        found: Float[Tensor, "batch tr frame *feature"],
        wanted: Float[Tensor, "batch tr frame *feature"],
        tr_s: float,
    ) -> tuple[Float[Tensor, ""], Diagnostics]:
        """What comes on top of the squared error, and its parts by name before their weights."""
        return torch.zeros((), device=found.device), {}

    def signal(
        self, frames: Float[Tensor, "batch tr frame *feature"]
    ) -> Float[Tensor, "batch channel time"]:
        """Frames as discriminators are shown them: every value of a frame is a channel."""
        return rearrange(frames.flatten(3), "b t f m -> b m (t f)")
