"""Parts put together: what is made of a stream's vectors, and the networks that result."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from subtr.items import Stimulus
from subtr.joint_stream import JointStream, PictureStreamParams
from subtr.params import SettingsError
from subtr.readout_params import ReadoutParams
from subtr.readouts import BoldReadout
from subtr.streams import EncoderPart, Part, Stream, StreamParams

__all__ = [
    "BoldPredictor",
    "Part",
    "ReadoutParams",
    "Stream",
    "StreamParams",
    "TemporalAutoencoder",
]


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


class BoldPredictor(nn.Module):
    """Stimulus -> one vector a TR -> each subject's BOLD; the mean of several such networks.

    Arguments
        in_dim: features of a frame of sound; None where pictures are all that is given.
        frames_per_tr, stream: see `Stream`.
        subjects, n_parcels, tr_s: see `subtr.readouts.BoldReadout`.
        readout: size of the vector, response, and how many members start from different weights.
        pictures, picture_shape: of pictures beside the sound, or alone; see `JointStream`.

    Sound or pictures alone are given as frames, both as `subtr.items.SoundAndPictures`.

    Raises
        SettingsError: neither sound nor pictures; or as `Stream` and `JointStream`.
    """

    def __init__(
        self,
        in_dim: int | None,
        frames_per_tr: int,
        tr_s: float,
        subjects: list[str],
        n_parcels: int,
        stream: StreamParams,
        readout: ReadoutParams,
        pictures: PictureStreamParams | None = None,
        picture_shape: tuple[int, int, int] | None = None,
    ):
        super().__init__()
        self.tr_s = tr_s
        dim = readout.vector_dim

        def one() -> nn.Module:
            if pictures is None and in_dim is not None:
                return Stream(in_dim, frames_per_tr, dim, stream)
            if pictures is None:
                raise SettingsError(
                    "pictures: a study without sound needs them to predict BOLD from; give them."
                )
            n_pictures, *size = picture_shape
            if in_dim is None:
                return Stream(tuple(size), n_pictures, dim, pictures.alone(stream))
            return JointStream(in_dim, frames_per_tr, picture_shape, dim, stream, pictures)

        self.streams = nn.ModuleList(one() for _ in range(readout.members))
        name, options = "fir", {}
        if readout.response is not None:
            name, options = readout.response.name, readout.response.options
        embedding_dim = readout.embedding_dim if readout.heads == "embedding" else None
        self.readouts = nn.ModuleList(
            BoldReadout(
                dim, subjects, n_parcels, tr_s, name, options, readout.context_trs, embedding_dim
            )
            for _ in range(readout.members)
        )
        self.dropout = nn.Dropout(readout.dropout)
        # Of a network that learned deconvolved BOLD, what its predictions are to go through again.
        self.undone_response: str | None = None

    @property
    def n_lead_trs(self) -> int:
        """TRs of stimulus needed before the first volume to predict."""
        return self.readouts[0].n_lead_trs

    @property
    def n_after_trs(self) -> int:
        """TRs of stimulus needed after the last volume to predict."""
        return self.readouts[0].n_after_trs

    def encoder_parts(self) -> list[EncoderPart]:
        """What pre-training may teach of each member: that of sound, where there is sound."""
        return [one.sound if isinstance(one, JointStream) else one for one in self.streams]

    def vectors(self, stimulus: Stimulus) -> Float[Tensor, "member batch tr dim"]:
        """The TR vectors, before the haemodynamic response."""
        return torch.stack([stream(stimulus, self.tr_s) for stream in self.streams])

    def each(self, stimulus: Stimulus) -> list[dict[str, Float[Tensor, "batch tr parcel"]]]:
        """BOLD by subject, as each member predicts it."""
        vectors = self.dropout(self.vectors(stimulus))
        return [readout(vector) for readout, vector in zip(self.readouts, vectors, strict=True)]

    def forward(self, stimulus: Stimulus) -> dict[str, Float[Tensor, "batch tr parcel"]]:
        members = self.each(stimulus)
        return {
            subject: torch.stack([member[subject] for member in members]).mean(0)
            for subject in members[0]
        }
