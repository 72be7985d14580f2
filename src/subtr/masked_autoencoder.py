"""A stream's encoder and a light decoder that redraw what is hidden of a window of stimulus."""

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from subtr.models.stream import EncoderPart, with_position
from subtr.patches import Patches


class MaskedAutoencoder(nn.Module):
    """A stream's position and encoder, and a light decoder that maps each frame's latents alone.

    As the decoder knows no time, what a hidden frame held must be found by the encoder. Encoders
    here slide over all frames, so hidden patches are filled rather than left out; running cells
    then decide by which patches the decoder is judged, and save no work.

    Arguments
        stream: whose position and encoder learn; its aggregator is not touched.
        patches: of the window.
        tr_s: repetition time in seconds.
        mean: of each feature in training; what hidden patches become.
        deviation: of all features from it, so that the decoder need not learn their scale.
        decoder_dim: features of a frame in the decoder.
        token: hidden patches differ from the mean by one learned patch, the same everywhere.
        target: mean and deviation of what is drawn in the place of the frames themselves, such as
            features of a speech model; None draws the frames.
    """

    def __init__(
        self,
        stream: EncoderPart,
        patches: Patches,
        tr_s: float,
        mean: Float[Tensor, " *feature"],
        deviation: float,
        decoder_dim: int,
        token: bool,
        target: tuple[Float[Tensor, " value"], float] | None = None,
    ):
        super().__init__()
        self.position, self.encoder = stream.position, stream.encoder
        self.context_frames, self.frames_per_tr = stream.context_frames, stream.frames_per_tr
        self.patches, self.tr_s, self.deviation = patches, tr_s, deviation
        self.register_buffer("mean", mean)
        self.token = nn.Parameter(torch.zeros(patches.shape)) if token else None
        dims = self.encoder.level_dims
        self.maps = nn.ModuleList(nn.Linear(dim, decoder_dim) for dim in dims)
        self.target_deviation = deviation if target is None else target[1]
        if target is not None:
            self.register_buffer("_target_mean", target[0])
        self.frames = nn.Linear(decoder_dim, self.target_mean.numel())

    @property
    def target_mean(self) -> Float[Tensor, " *value"]:
        """Of what is drawn, in training."""
        return getattr(self, "_target_mean", self.mean)

    def filled(
        self, frames: Float[Tensor, "item frame *feature"], hidden: Bool[Tensor, "item time cell"]
    ) -> Float[Tensor, "item frame *feature"]:
        """What the encoder is shown."""
        fill = self.mean.expand(frames.shape[1:])
        if self.token is not None:
            fill = fill + self.patches.tiled(self.token)
        return torch.where(self.patches.spread(hidden), fill, frames)

    def forward(
        self, frames: Float[Tensor, "item frame *feature"], hidden: Bool[Tensor, "item time cell"]
    ) -> Float[Tensor, "item frame *value"]:
        shown = self.filled(frames, hidden)
        window = self.tr_s, self.context_frames, self.frames_per_tr
        shown = with_position(self.position, shown, *window)
        n_frames = frames.shape[1]
        levels = zip(self.maps, self.encoder(shown), strict=True)
        # Each frame takes the latent of a coarser level that covers it.
        latents = [
            nn.functional.interpolate(rearrange(map_(level), "i f d -> i d f"), size=n_frames)
            for map_, level in levels
        ]
        latents = rearrange(torch.stack(latents).sum(0), "i d f -> i f d")
        drawn = self.frames(nn.functional.gelu(latents))
        drawn = drawn.view(*frames.shape[:2], *self.target_mean.shape)
        return self.target_mean + self.target_deviation * drawn
