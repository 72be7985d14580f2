"""Sound and pictures together to one vector a TR."""

from einops import rearrange
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from subtr.aggregators import AGGREGATORS
from subtr.augmentation import AugmentationParams
from subtr.encoders import ENCODERS, PICTURE_ENCODERS
from subtr.encoders.joint import JointEncoder
from subtr.encoders.positions import POSITIONS
from subtr.items import SoundAndPictures
from subtr.params import Strict
from subtr.streams import (
    EncoderPart,
    Part,
    StreamParams,
    check_whole,
    with_position,
    without_context,
)


class PictureStreamParams(Strict):
    """Pictures beside sound: their own encoder, and the aggregator of the sound.

    ``context_pictures``: pictures of the neighbouring TRs that the encoder sees on either side.
    ``fusion_dim``: features of a further level of both together, see `JointEncoder`; 0 for none.
    ``augmentation``: of the pictures of training items, which are moved and masked on their own.
    """

    encoder: Part = Part(name="s3d")
    context_pictures: int = Field(0, ge=0, le=1024)
    fusion_dim: int = Field(0, ge=0, le=8192)
    augmentation: AugmentationParams | None = None

    @model_validator(mode="after")
    def _known_encoder(self):
        PICTURE_ENCODERS.check(self.encoder.name, self.encoder.options)
        return self

    @property
    def takes_flow(self) -> bool:
        """Whether the encoder looks for optical flow, for which pictures go from 0 to 1."""
        return self.encoder.name == "flow" or self.encoder.options.get("motion") == "flow"

    def alone(self, sound: StreamParams) -> StreamParams:
        """A stream of pictures without sound, which keeps the aggregator of ``sound``."""
        return StreamParams(
            encoder=self.encoder, aggregator=sound.aggregator, context_frames=self.context_pictures
        )


class JointStream(nn.Module):
    """Encoders of sound and of pictures and one aggregator, applied to every TR.

    It takes the place of a `subtr.streams.Stream`, and is given `SoundAndPictures`.

    Arguments
        n_bands: features of a frame of sound.
        frames_per_tr: frames of sound of a TR, without context.
        picture_shape: pictures of a TR without context, height, width.
        dim: size of the vector.
        sound, pictures: names and options of the parts.

    Raises
        SettingsError: a level without a whole number of frames in the TR or in its context.
    """

    def __init__(
        self,
        n_bands: int,
        frames_per_tr: int,
        picture_shape: tuple[int, int, int],
        dim: int,
        sound: StreamParams,
        pictures: PictureStreamParams,
    ):
        super().__init__()
        self.frames_per_tr, self.keep_input = frames_per_tr, sound.keep_input
        self.context_frames = sound.context_frames
        n_pictures, *size = picture_shape
        self.position = sound.position.build(POSITIONS)
        self.encoder = JointEncoder(
            sound.encoder.build(ENCODERS, self.position.out_dim(n_bands)),
            pictures.encoder.build(PICTURE_ENCODERS, *size),
            frames_per_tr,
            n_pictures,
            fusion_dim=pictures.fusion_dim,
        )
        contexts, names = [], []
        for name, part, n_context in (
            ("sound", self.encoder.sound, sound.context_frames),
            ("pictures", self.encoder.pictures, pictures.context_pictures),
        ):
            rates = part.frame_hz(1.0)
            what = "context_frames" if name == "sound" else "context_pictures"
            check_whole(what, n_context, rates)
            contexts += [round(n_context * rate) for rate in rates]
            names += [name] * len(rates)
        self.level_context = [contexts[level] for level in self.encoder.order]
        self._names = [names[level] for level in self.encoder.order]
        level_dims, level_frames = self.encoder.level_dims, self.encoder.level_frames
        if self.encoder.fusion is not None:
            self.level_context.insert(0, contexts[self.encoder.finest_sound])
            self._names.insert(0, "sound and pictures")
        if self.keep_input:
            level_dims, level_frames = [n_bands, *level_dims], [frames_per_tr, *level_frames]
            self.level_context.insert(0, sound.context_frames)
        self.aggregator = sound.aggregator.build(AGGREGATORS, level_dims, level_frames, dim)

    @property
    def sound(self) -> EncoderPart:
        """Position and encoder of the sound, the very same, as one part that can be pre-trained."""
        rates = self.context_frames, self.frames_per_tr
        return EncoderPart(self.position, self.encoder.sound, *rates)

    def level_names(self, tr_s: float | int) -> list[str]:
        """What the aggregator is given, as a reader would call it, in its order."""
        rates = zip(self._names, self.encoder.frame_hz(tr_s), strict=True)
        return ["the input"] * self.keep_input + [f"{of} at {hz:.3g} Hz" for of, hz in rates]

    def forward(self, stimulus: SoundAndPictures, tr_s: float) -> Float[Tensor, "batch tr dim"]:
        n_trs = stimulus.frames.shape[1]
        given = rearrange(stimulus.frames, "b t f ... -> (b t) f ...")
        shown = rearrange(stimulus.pictures, "b t p ... -> (b t) p ...")
        placed = with_position(self.position, given, tr_s, self.context_frames, self.frames_per_tr)
        levels = self.encoder(placed, shown)
        if self.keep_input:
            levels = [given, *levels]
        vectors = self.aggregator(without_context(levels, self.level_context))
        return rearrange(vectors, "(b t) d -> b t d", t=n_trs)
