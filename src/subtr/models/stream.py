"""A stream: encoder and aggregator, stimulus to one vector a TR; of audio, video or both."""

import math
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import ConfigDict, Field, model_validator
from torch import Tensor, nn

from subtr.aggregators import AGGREGATORS
from subtr.encoders import ENCODERS, PICTURE_ENCODERS
from subtr.encoders.positions import POSITIONS
from subtr.models.batches import SoundAndPictures
from subtr.params import Registry, SettingsError, Strict


class AugmentationParams(Strict):
    """How a training item is changed; 0 everywhere leaves it as it is.

    ``shift_frames``: an item is moved by up to so many frames, earlier or later. For slow targets
    such as BOLD; a reconstruction would be asked for what it was not given.
    ``time_masks``: masks a TR, anywhere in the item, each of 0 to ``time_mask_frames`` frames.
    ``frequency_masks``: masks an item, each of 0 to ``frequency_mask_bands`` neighbouring bands.
    ``noise``: standard deviation of white noise, in the units of the frames.
    """

    shift_frames: int = Field(0, ge=0)
    time_masks: int = Field(0, ge=0)
    time_mask_frames: int = Field(0, ge=0)
    frequency_masks: int = Field(0, ge=0)
    frequency_mask_bands: int = Field(0, ge=0)
    noise: float = Field(0.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _number_and_width(self):
        for number, width in (
            ("time_masks", "time_mask_frames"),
            ("frequency_masks", "frequency_mask_bands"),
        ):
            found = getattr(self, number), getattr(self, width)
            if (found[0] > 0) != (found[1] > 0):
                raise ValueError(
                    f"{number} = {found[0]} with {width} = {found[1]}: expected both above 0 "
                    "(masks of up to that width) or both 0 (none)"
                )
        return self


class Part(Strict):
    """A name from a registry, and the part's own options beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @property
    def options(self) -> dict[str, Any]:
        """All but the name."""
        return dict(self.model_extra or {})

    def build(self, registry: Registry, *given: Any) -> Any:
        """The part itself; raises SettingsError as `Registry.build`."""
        return registry.build(self.name, *given, **self.options)


class StreamParams(Strict):
    """Frames -> one vector a TR.

    ``context_frames``: frames of the neighbouring TRs that the encoder sees on either side, so that
    its convolutions do not end at the border; the aggregator gets the TR's own alone.
    ``keep_input``: the frames themselves go to the aggregator too, as the finest level.
    """

    position: Part = Part(name="none")
    encoder: Part = Part(name="linear")
    aggregator: Part = Part(name="mean")
    context_frames: int = Field(0, ge=0, le=4096)
    keep_input: bool = False

    @model_validator(mode="after")
    def _known_parts(self):
        POSITIONS.check(self.position.name, self.position.options)
        AGGREGATORS.check(self.aggregator.name, self.aggregator.options)
        known = PICTURE_ENCODERS if self.encoder.name in PICTURE_ENCODERS.parts else ENCODERS
        known.check(self.encoder.name, self.encoder.options)
        return self


class EncoderPart(nn.Module):
    """What comes before an aggregator, and all of a stream that pre-training teaches.

    Arguments
        position: adds the time of each frame to it.
        encoder: frames -> levels, see `subtr.encoders`.
        context_frames, frames_per_tr: frames of the neighbouring TRs on either side, and of the TR.
    """

    def __init__(
        self, position: nn.Module, encoder: nn.Module, context_frames: int, frames_per_tr: int
    ):
        super().__init__()
        self.context_frames, self.frames_per_tr = context_frames, frames_per_tr
        self.position, self.encoder = position, encoder


class Stream(EncoderPart):
    """Encoder and aggregator, applied to every TR with the same weights.

    Arguments
        in_dim: features of a frame, or (height, width) of a picture.
        frames_per_tr: frames of a TR, without context.
        dim: size of the vector.
        params: names and options of the parts.

    Raises
        SettingsError: the frames of a TR or of the context do not give whole frames of every level.

    Time goes in as seconds, so the same weights run at any TR.
    """

    def __init__(
        self, in_dim: int | tuple[int, int], frames_per_tr: int, dim: int, params: StreamParams
    ):
        position = params.position.build(POSITIONS)
        if isinstance(in_dim, tuple):
            encoder = params.encoder.build(PICTURE_ENCODERS, *in_dim)
            input_dim = 3 * math.prod(in_dim)
        else:
            input_dim = in_dim
            encoder = params.encoder.build(ENCODERS, position.out_dim(in_dim))
        super().__init__(position, encoder, params.context_frames, frames_per_tr)
        self.keep_input = params.keep_input
        rates, level_dims = self.encoder.frame_hz(1.0), self.encoder.level_dims
        if self.keep_input:
            rates, level_dims = [1.0, *rates], [input_dim, *level_dims]
        check_whole("frames_per_tr", frames_per_tr, rates)
        check_whole("context_frames", params.context_frames, rates)
        self.level_context = [round(params.context_frames * rate) for rate in rates]
        level_frames = [round(frames_per_tr * rate) for rate in rates]
        self.aggregator = params.aggregator.build(AGGREGATORS, level_dims, level_frames, dim)

    def level_names(self, tr_s: float | int) -> list[str]:
        """What the aggregator is given, as a reader would call it, in its order."""
        rates_hz = self.encoder.frame_hz(self.frames_per_tr / tr_s)
        names = [f"the level at {rate_hz:.3g} Hz" for rate_hz in rates_hz]
        return ["the input"] * self.keep_input + names

    def forward(
        self, frames: Float[Tensor, "batch tr frame *feature"], tr_s: float
    ) -> Float[Tensor, "batch tr dim"]:
        n_trs = frames.shape[1]
        given = rearrange(frames, "b t f ... -> (b t) f ...")
        placed = with_position(self.position, given, tr_s, self.context_frames, self.frames_per_tr)
        levels = self.encoder(placed)
        if self.keep_input:
            levels = [given.flatten(2), *levels]
        levels = without_context(levels, self.level_context)
        vectors = self.aggregator(levels)
        return rearrange(vectors, "(b t) d -> b t d", t=n_trs)


def with_position(
    position: nn.Module,
    frames: Float[Tensor, "batch frame *feature"],
    tr_s: float,
    context_frames: int,
    frames_per_tr: int,
) -> Float[Tensor, "batch frame ..."]:
    """Frames of sound with their time, which is 0 at the start of their TR; pictures as they are.

    Arguments
        context_frames, frames_per_tr: see `EncoderPart`.
    """
    if frames.ndim != 3:
        return frames
    index = torch.arange(frames.shape[1], device=frames.device) - context_frames
    return position(frames, (index + 0.5) / frames_per_tr * tr_s, tr_s)


def without_context(
    levels: list[Float[Tensor, "batch _frame_l _dim_l"]], contexts: list[int]
) -> list[Float[Tensor, "batch _own_l _dim_l"]]:
    """The TR's own frames of each level, whose context is so many frames on either side."""
    pairs = zip(levels, contexts, strict=True)
    return [level[:, context : level.shape[1] - context] for level, context in pairs]


def check_whole(what: str, n_frames: int, rates: list[float]) -> None:
    """Raises SettingsError where so many frames give no whole number of frames of a level.

    Arguments
        what: the option that says how many.
        rates: frames of each level for a frame given.
    """
    slowest = round(1 / min(rates))
    if any(abs(n_frames * rate - round(n_frames * rate)) > 1e-6 for rate in rates):
        raise SettingsError(
            f"{what} = {n_frames}: expected a multiple of {slowest}, the frames that the encoder "
            "makes one of at its coarsest level; change it, or the encoder's strides."
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


def at_times(
    latents: Float[Tensor, "batch frame dim"],
    per_tr: float | int,
    n_frames: int,
    frames_per_tr: float | int,
) -> Float[Tensor, "batch _frame dim"]:
    """Latents of one rate at the times of another, by linear interpolation; held at the ends.

    Arguments
        latents: frame k of n is centred (k + 1/2 - n/2) / ``per_tr`` TRs from the window's middle.
        per_tr: frames of a TR, of the latents.
        n_frames, frames_per_tr: the same of the result, whose window has the same middle but need
            not be as long.
    """
    n_given = latents.shape[1]
    wanted = torch.arange(n_frames, device=latents.device, dtype=torch.float64)
    seconds_tr = (wanted + 0.5 - n_frames / 2) / frames_per_tr
    place = (seconds_tr * per_tr + n_given / 2 - 0.5).clamp(0, n_given - 1)
    before = place.floor().long().clamp(max=max(n_given - 2, 0))
    share = (place - before).to(latents.dtype)[:, None]
    after = (before + 1).clamp(max=n_given - 1)
    return latents[:, before] * (1 - share) + latents[:, after] * share


class JointEncoder(nn.Module):
    """Levels of a sound encoder and of a picture encoder side by side, fine first.

    Arguments
        sound_encoder: (batch, frame, mel) -> levels, see `subtr.encoders.ENCODERS`.
        picture_encoder: (batch, picture, rgb, height, width) -> levels, see `PICTURE_ENCODERS`.
        sound_per_tr, pictures_per_tr: frames of a TR that each is given, without context.
        fusion_dim: features of a further level that comes first, at the rate of the finest level of
            sound: a linear map of that level and of all picture levels, each brought to its times.
            0 for none.

    ``level_dims`` and ``level_frames`` are what any aggregator is built from: features of each
    level, and its frames in a TR. Levels are ordered by rate, sound before pictures at a tie.

    Raises
        SettingsError: a level that has no whole number of frames in a TR, or no frame at all given.

    Source: Simonyan and Zisserman 2014 for streams that are fused late, here at each moment.
    """

    def __init__(
        self,
        sound_encoder: nn.Module,
        picture_encoder: nn.Module,
        sound_per_tr: int,
        pictures_per_tr: int,
        *,
        fusion_dim: int = 0,
    ):
        super().__init__()
        self.sound, self.pictures = sound_encoder, picture_encoder
        # Frames of a TR in a TR: what encoders call hertz is any unit of time.
        self.sound_rates = sound_encoder.frame_hz(float(sound_per_tr))
        self.picture_rates = picture_encoder.frame_hz(float(pictures_per_tr))
        self.per_tr = {"sound": float(sound_per_tr), "pictures": float(pictures_per_tr)}
        rates = [*self.sound_rates, *self.picture_rates]
        dims = [*sound_encoder.level_dims, *picture_encoder.level_dims]
        if any(abs(rate - round(rate)) > 1e-6 or rate < 1 for rate in rates):
            raise SettingsError(
                f"levels with {', '.join(f'{rate:g}' for rate in rates)} frames a TR: expected "
                "whole numbers; change the frames of a TR, or the encoders' strides."
            )
        # Python's sort keeps ties in order, so sound stays before pictures.
        self.order = sorted(range(len(rates)), key=lambda level: -rates[level])
        self.level_dims = [dims[level] for level in self.order]
        self.level_frames = [round(rates[level]) for level in self.order]
        self.fusion = None
        if fusion_dim:
            finest = self.finest_sound = max(
                range(len(self.sound_rates)), key=lambda level: self.sound_rates[level]
            )
            given = sound_encoder.level_dims[finest] + sum(picture_encoder.level_dims)
            self.fusion = nn.Linear(given, fusion_dim)
            self.level_dims.insert(0, fusion_dim)
            self.level_frames.insert(0, round(self.sound_rates[finest]))

    def frame_hz(self, tr_s: float | int) -> list[float]:
        """Frames per second of each level, at a TR of so many seconds."""
        return [n_frames / tr_s for n_frames in self.level_frames]

    def receptive_field_s(self, tr_s: float | int) -> list[float]:
        """Seconds of input that a frame of each level sees; a fused frame that of its widest.

        A fused frame sees two neighbouring frames of each picture level.
        """
        sound = self.sound.receptive_field_s(self.per_tr["sound"] / tr_s)
        pictures = self.pictures.receptive_field_s(self.per_tr["pictures"] / tr_s)
        fields = [*sound, *pictures]
        ordered = [fields[level] for level in self.order]
        if self.fusion is not None:
            between = [
                field + tr_s / rate
                for field, rate in zip(pictures, self.picture_rates, strict=True)
            ]
            ordered.insert(0, max(sound[self.finest_sound], *between))
        return ordered

    def forward(
        self,
        mel: Float[Tensor, "batch sound_frame mel"],
        pictures: Float[Tensor, "batch picture_frame rgb height width"],
    ) -> list[Float[Tensor, "batch _frame_l _dim_l"]]:
        """Levels of both; windows may be unequally long, as contexts are, around one middle."""
        if not (mel.shape[1] and pictures.shape[1]):
            raise SettingsError(
                f"{mel.shape[1]} frames of sound and {pictures.shape[1]} pictures: expected at "
                "least one of each; a study without either needs an encoder of the other alone."
            )
        of_sound, of_pictures = self.sound(mel), self.pictures(pictures)
        levels = [*of_sound, *of_pictures]
        ordered = [levels[level] for level in self.order]
        if self.fusion is None:
            return ordered
        heard, rate = of_sound[self.finest_sound], self.sound_rates[self.finest_sound]
        seen = [
            at_times(level, per_tr, heard.shape[1], rate)
            for level, per_tr in zip(of_pictures, self.picture_rates, strict=True)
        ]
        return [self.fusion(torch.cat([heard, *seen], dim=2)), *ordered]


class JointStream(nn.Module):
    """Encoders of sound and of pictures and one aggregator, applied to every TR.

    It takes the place of a `subtr.models.stream.Stream`, and is given `SoundAndPictures`.

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
