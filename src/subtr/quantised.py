"""Sound to codes and back: an autoencoder whose TR is told by whole numbers, and its training."""

import math
from typing import Literal, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from subtr.decoders import DECODERS
from subtr.models.stream import Part, Stream, StreamParams
from subtr.params import SettingsError, Strict
from subtr.quantisation import HierarchicalQuantiser, Quantised
from subtr.quantiser_params import QuantiserParams
from subtr.training_params import TrainingParams


class QuantisedParams(Strict):
    """Frames -> codes -> frames: what is built and how it is trained.

    ``vector_dim``, ``fine_dim``: size of the TR vector and of a fine frame's latent before they
    become codes. ``start``: "pca" starts the linear maps at principal components, of windows for
    the coarse level, of what its codes leave of them for the fine one. ``coarse_weight``: of the
    reconstruction from coarse codes alone. The rest is as in `AutoencoderParams`.
    """

    stream: StreamParams = StreamParams(aggregator=Part(name="linear"))
    decoder: Part = Part(name="linear")
    quantiser: QuantiserParams = QuantiserParams()
    vector_dim: int = Field(32, ge=1, le=8192)
    fine_dim: int = Field(16, ge=1, le=8192)
    start: Literal["random", "pca"] = "random"
    level_weight: float = Field(1.0, ge=0)
    coarse_weight: float = Field(0.25, ge=0)
    item_trs: int = Field(1, ge=1)
    batch_size: int = Field(32, ge=1)
    batches_per_epoch: int = Field(20, ge=1)
    training: TrainingParams = TrainingParams()

    @model_validator(mode="after")
    def _can_be_built(self):
        DECODERS.check(self.decoder.name, self.decoder.options)
        if self.stream.context_frames:
            raise ValueError(
                f"stream.context_frames = {self.stream.context_frames}: expected 0, for what a TR "
                "is reconstructed from must come from that TR alone"
            )
        starts = self.stream.aggregator.name == "linear" and self.decoder.name != "held"
        if self.start == "pca" and not starts:
            raise ValueError("start = 'pca' needs the aggregator linear and a decoder not held")
        return self


class _CoarseAndFine(nn.Module):
    """An aggregator whose vector carries the latents of ``n_fine`` frames after its own numbers."""

    def __init__(
        self, coarse: nn.Module, dims: list[int], frames: list[int], n_fine: int, fine_dim: int
    ):
        super().__init__()
        self.coarse, self.n_fine = coarse, n_fine
        if any(n_frames % n_fine for n_frames in frames):
            raise SettingsError(
                f"fine_frames = {n_fine}: expected a divisor of the frames of every level of the "
                f"encoder in a TR, {', '.join(map(str, frames))}."
            )
        self.maps = nn.ModuleList(
            nn.Linear(dim * n_frames // n_fine, fine_dim)
            for dim, n_frames in zip(dims, frames, strict=True)
        )
        for deeper in self.maps[1:]:
            nn.init.zeros_(deeper.weight)
            nn.init.zeros_(deeper.bias)

    def forward(
        self, levels: list[Float[Tensor, "batch _frame_l _dim_l"]]
    ) -> Float[Tensor, "batch dim"]:
        fine = sum(
            part(rearrange(level, "b (p k) d -> b p (k d)", p=self.n_fine))
            for part, level in zip(self.maps, levels, strict=True)
        )
        return torch.cat([self.coarse(levels), fine.flatten(1)], dim=1)


class Decoded(NamedTuple):
    """Frames from all codes, from the coarse ones alone, and the codes."""

    whole: Float[Tensor, "batch tr frame feature"]
    coarse: Float[Tensor, "batch tr frame feature"]
    codes: Quantised


class QuantisedAutoencoder(nn.Module):
    """Frames -> a vector a TR and latents of its frames -> codes -> frames.

    The fine level is what the encoder's levels say of each of ``fine_frames`` parts of the TR.

    Arguments
        n_features, n_frames: features of a frame, frames of a TR.

    Raises
        SettingsError: the frames of a TR cannot be cut into ``fine_frames`` parts.
    """

    def __init__(self, n_features: int, n_frames: int, params: QuantisedParams):
        super().__init__()
        dim, quantiser = params.vector_dim, params.quantiser
        self.dim = dim
        self.stream = Stream(n_features, n_frames, dim, params.stream)
        self.fine_shape = (quantiser.fine_frames, params.fine_dim if quantiser.n_fine else 0)
        if quantiser.n_fine:
            rates, dims = self.stream.encoder.frame_hz(1.0), self.stream.encoder.level_dims
            if params.stream.keep_input:
                rates, dims = [1.0, *rates], [n_features, *dims]
            frames = [round(n_frames * rate) for rate in rates]
            whole = _CoarseAndFine(self.stream.aggregator, dims, frames, *self.fine_shape)
            self.stream.aggregator = whole
        self.quantiser = HierarchicalQuantiser(dim, self.fine_shape[1], quantiser)
        told_dim = dim + math.prod(self.fine_shape)
        self.decoder = params.decoder.build(DECODERS, told_dim, n_frames, n_features)

    def latents(
        self, frames: Float[Tensor, "batch tr frame feature"], tr_s: float
    ) -> tuple[Float[Tensor, "batch tr dim"], Float[Tensor, "batch tr fine_frame fine_dim"]]:
        """The TR vector and the frame-level latents, before they become codes."""
        both = self.stream(frames, tr_s)
        return both[..., : self.dim], both[..., self.dim :].unflatten(-1, self.fine_shape)

    def decode(
        self,
        vectors: Float[Tensor, "batch tr dim"],
        fine_added: Float[Tensor, "batch tr fine_frame fine_dim"],
    ) -> Float[Tensor, "batch tr frame feature"]:
        """Frames from what the codes tell; zeros in place of ``fine_added``: from the coarse."""
        return self.decoder(torch.cat([vectors, fine_added.flatten(2)], dim=-1))

    def forward(self, frames: Float[Tensor, "batch tr frame feature"], tr_s: float) -> Decoded:
        told = self.quantiser(*self.latents(frames, tr_s))
        whole = self.decode(told.vectors, told.fine_added)
        coarse = self.decode(told.vectors, torch.zeros_like(told.fine_added))
        return Decoded(whole, coarse, told)
