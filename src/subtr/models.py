"""Parts put together: a stream from frames to one vector a TR, and what is made of the vector."""

import math
from typing import Any, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import ConfigDict, Field, model_validator
from torch import Tensor, nn

from subtr.aggregators import AGGREGATORS
from subtr.encoders import ENCODERS, PICTURE_ENCODERS
from subtr.errors import SettingsError
from subtr.params import Strict
from subtr.positions import POSITIONS
from subtr.readouts import BoldReadout
from subtr.registry import Registry


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


class Stream(nn.Module):
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
        super().__init__()
        self.context_frames, self.frames_per_tr = params.context_frames, frames_per_tr
        self.keep_input = params.keep_input
        self.position = params.position.build(POSITIONS)
        if isinstance(in_dim, tuple):
            self.encoder = params.encoder.build(PICTURE_ENCODERS, *in_dim)
            input_dim = 3 * math.prod(in_dim)
        else:
            input_dim = in_dim
            self.encoder = params.encoder.build(ENCODERS, self.position.out_dim(in_dim))
        rates, level_dims = self.encoder.frame_hz(1.0), self.encoder.level_dims
        if self.keep_input:
            rates, level_dims = [1.0, *rates], [input_dim, *level_dims]
        _check_whole("frames_per_tr", frames_per_tr, rates)
        _check_whole("context_frames", params.context_frames, rates)
        self.level_context = [round(params.context_frames * rate) for rate in rates]
        level_frames = [round(frames_per_tr * rate) for rate in rates]
        self.aggregator = params.aggregator.build(AGGREGATORS, level_dims, level_frames, dim)

    def forward(
        self, frames: Float[Tensor, "batch tr frame *feature"], tr_s: float
    ) -> Float[Tensor, "batch tr dim"]:
        n_trs = frames.shape[1]
        given = frames = rearrange(frames, "b t f ... -> (b t) f ...")
        if frames.ndim == 3:
            index = torch.arange(frames.shape[1], device=frames.device) - self.context_frames
            frames = self.position(frames, (index + 0.5) / self.frames_per_tr * tr_s, tr_s)
        levels = self.encoder(frames)
        if self.keep_input:
            levels = [given.flatten(2), *levels]
        levels = [
            level[:, context : level.shape[1] - context]
            for level, context in zip(levels, self.level_context, strict=True)
        ]
        vectors = self.aggregator(levels)
        return rearrange(vectors, "(b t) d -> b t d", t=n_trs)


def _check_whole(what: str, n_frames: int, rates: list[float]) -> None:
    slowest = round(1 / min(rates))
    if any(abs(n_frames * rate - round(n_frames * rate)) > 1e-6 for rate in rates):
        raise SettingsError(
            f"{what} = {n_frames}: expected a multiple of {slowest}, the frames that the encoder "
            "makes one of at its coarsest level; change it, or the encoder's strides."
        )


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


class ReadoutParams(Strict):
    """TR vectors -> BOLD."""

    vector_dim: int = Field(16, ge=1, le=8192)
    response: Literal["canonical", "fir"] = "fir"
    dropout: float = Field(0.0, ge=0, lt=1)
    members: int = Field(1, ge=1, le=64)


class BoldPredictor(nn.Module):
    """Frames -> one vector a TR -> each subject's BOLD; the mean of several such networks.

    Arguments
        in_dim, frames_per_tr, stream: see `Stream`.
        subjects, n_parcels, tr_s: see `subtr.readouts.BoldReadout`.
        readout: size of the vector, response, and how many members start from different weights.
    """

    def __init__(
        self,
        in_dim: int,
        frames_per_tr: int,
        tr_s: float,
        subjects: list[str],
        n_parcels: int,
        stream: StreamParams,
        readout: ReadoutParams,
    ):
        super().__init__()
        self.tr_s = tr_s
        dim = readout.vector_dim
        self.streams = nn.ModuleList(
            Stream(in_dim, frames_per_tr, dim, stream) for _ in range(readout.members)
        )
        self.readouts = nn.ModuleList(
            BoldReadout(dim, subjects, n_parcels, tr_s, readout.response)
            for _ in range(readout.members)
        )
        self.dropout = nn.Dropout(readout.dropout)

    @property
    def n_lead_trs(self) -> int:
        """TRs of stimulus needed before the first volume to predict."""
        return self.readouts[0].hrf.n_lead_trs

    def vectors(
        self, frames: Float[Tensor, "batch tr frame feature"]
    ) -> Float[Tensor, "member batch tr dim"]:
        """The TR vectors, before the haemodynamic response."""
        return torch.stack([stream(frames, self.tr_s) for stream in self.streams])

    def each(
        self, frames: Float[Tensor, "batch tr frame feature"]
    ) -> list[dict[str, Float[Tensor, "batch tr parcel"]]]:
        """BOLD by subject, as each member predicts it."""
        vectors = self.dropout(self.vectors(frames))
        return [readout(vector) for readout, vector in zip(self.readouts, vectors, strict=True)]

    def forward(
        self, frames: Float[Tensor, "batch tr frame feature"]
    ) -> dict[str, Float[Tensor, "batch tr parcel"]]:
        members = self.each(frames)
        return {
            subject: torch.stack([member[subject] for member in members]).mean(0)
            for subject in members[0]
        }
