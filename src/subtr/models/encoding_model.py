"""From one vector a TR to BOLD: readouts, heads, and the network that predicts it."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Float64
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from subtr.datasets.study import Study
from subtr.models.batches import Stimulus
from subtr.models.responses import RESPONSES
from subtr.models.stream import (
    EncoderPart,
    JointStream,
    Part,
    PictureStreamParams,
    Stream,
    StreamParams,
)
from subtr.params import SettingsError, Strict, StudyWarning

_TRs = Annotated[int, Field(ge=0, le=64)]


class ReadoutParams(Strict):
    """TR vectors -> BOLD.

    ``response``: a name from `subtr.models.responses`, or the name with options, such as
    ``{name: lag, lag_s: 4.5}``. None takes "fir", and "applied" for a study whose BOLD already lies
    beside its stimulus.
    ``context_trs``: TRs before and after, the vectors of which a volume is predicted from too; any
    after it need "applied".
    ``heads``: "own", a free departure of each subject from the shared head; "embedding", a sum of
    ``embedding_dim`` departures that all have in common, weighted by as many numbers a subject.
    """

    vector_dim: int = Field(16, ge=1, le=8192)
    response: Part | None = None
    context_trs: tuple[_TRs, _TRs] = (0, 0)
    dropout: float = Field(0.0, ge=0, lt=1)
    members: int = Field(1, ge=1, le=64)
    heads: Literal["own", "embedding"] = "own"
    embedding_dim: int = Field(4, ge=1, le=256)

    @field_validator("response", mode="before")
    @classmethod
    def _known_response(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {"name": given}
        if isinstance(given, dict) and isinstance(given.get("name"), str):
            options = {key: value for key, value in given.items() if key != "name"}
            RESPONSES.check(given["name"], options)
        return given

    @model_validator(mode="after")
    def _no_future(self):
        _, after = self.context_trs
        if after and (self.response is None or self.response.name != "applied"):
            named = "none" if self.response is None else self.response.name
            raise ValueError(
                f"context_trs asks for {after} TRs after the volume, with response {named}. What "
                "comes after a volume cannot have caused it, unless the volume was shifted back "
                "by its lag: set context_trs: "
                f"[{self.context_trs[0]}, 0], or response: applied for BOLD that was shifted"
            )
        return self


def readout_of(study: Study, readout: ReadoutParams) -> ReadoutParams:
    """The same with the response that a study takes, where none was chosen.

    Warns (StudyWarning) where "applied" leaves the lag of the BOLD to nothing.

    Raises
        SettingsError: a response on top of BOLD that was shifted or deconvolved already.
    """
    chosen = readout.response
    if chosen is None:
        name = "applied" if study.hrf_applied else "fir"
        return readout.model_copy(update={"response": Part(name=name)})
    if study.hrf_applied and chosen.name != "applied":
        raise SettingsError(
            f"readout.response = {chosen.name!r}: the BOLD of {study.name} already lies beside "
            "its stimulus (hrf_applied), so this response would delay it a second time (double "
            "shifting), and every prediction would come seconds late. Set response: applied, with "
            "context_trs: [before, after] for what is left of the response, or leave it out; if "
            "the BOLD does lag its stimulus, load the study with hrf_applied = False."
        )
    reach_s = readout.context_trs[0] * study.clock.tr_s
    if chosen.name == "applied" and not study.hrf_applied and reach_s < study.bold_lag_s:
        warnings.warn(
            f"readout.response = 'applied': the BOLD of {study.name} lags its stimulus by about "
            f"{study.bold_lag_s:g} s, and context_trs looks back {reach_s:g} s. Choose another "
            "response, or more TRs before.",
            StudyWarning,
            stacklevel=2,
        )
    return readout


class SubjectHeads(nn.Module):
    """Linear maps from a TR vector to parcels: one shared, and each subject's departure from it.

    Departures start at zero, so weight decay draws subjects together. They are free, or, with an
    embedding, sums of a few departures that all subjects have in common, weighted by a handful of
    numbers a subject: a subject then costs ``embedding_dim`` weights, not ``dim * n_parcels``.

    Arguments
        dim: size of the TR vector.
        subjects: names; any text.
        n_parcels: of every subject.
        embedding_dim: numbers a subject; None for free departures.

    Source: subject embeddings as in Defossez et al. 2023, Decoding speech perception from
    non-invasive brain recordings (arXiv:2208.12266, section 2), here of a linear head.
    """

    def __init__(
        self, dim: int, subjects: Sequence[str], n_parcels: int, embedding_dim: int | None = None
    ):
        super().__init__()
        self.subjects = list(subjects)
        self.shared = nn.Linear(dim, n_parcels, bias=False)
        nn.init.normal_(self.shared.weight, std=1 / math.sqrt(dim))
        if embedding_dim is None:
            self.own = nn.Parameter(torch.zeros(len(self.subjects), n_parcels, dim))
        else:
            # Were both zero, neither would ever learn; embeddings alone tell subjects apart.
            self.embedding = nn.Parameter(torch.empty(len(self.subjects), embedding_dim))
            nn.init.normal_(self.embedding, std=1 / math.sqrt(embedding_dim))
            self.basis = nn.Parameter(torch.zeros(embedding_dim, n_parcels, dim))

    @property
    def departures(self) -> Float[Tensor, "subject parcel dim"]:
        """What each subject's map has beyond the shared one."""
        if hasattr(self, "basis"):
            return torch.einsum("s k, k p d -> s p d", self.embedding, self.basis)
        return self.own

    def forward(
        self, vectors: Float[Tensor, "batch tr dim"]
    ) -> Float[Tensor, "subject batch tr parcel"]:
        own = torch.einsum("b t d, s p d -> s b t p", vectors, self.departures)
        return self.shared(vectors) + own


class BoldReadout(nn.Module):
    """TR vectors -> each subject's BOLD, through heads and the haemodynamic response.

    Arguments
        dim, subjects, n_parcels, embedding_dim: see `SubjectHeads`.
        tr_s: repetition time in seconds.
        response, options: a name from `subtr.models.responses`, and what it can be told.
        context_trs: how many TRs before and after, the vectors of which a head is given too.
    """

    def __init__(
        self,
        dim: int,
        subjects: Sequence[str],
        n_parcels: int,
        tr_s: float,
        response: str = "fir",
        options: Mapping[str, Any] | None = None,
        context_trs: tuple[int, int] = (0, 0),
        embedding_dim: int | None = None,
    ):
        super().__init__()
        self.dim, self.context_trs = dim, tuple(context_trs)
        head_dim = dim * (1 + sum(context_trs))
        self.heads = SubjectHeads(head_dim, subjects, n_parcels, embedding_dim)
        self.hrf = RESPONSES.build(response, n_parcels, tr_s, **(options or {}))

    @property
    def n_lead_trs(self) -> int:
        """TRs before a volume that its prediction looks back to."""
        return self.hrf.n_lead_trs + self.context_trs[0]

    @property
    def n_after_trs(self) -> int:
        """TRs after a volume that its prediction looks ahead to."""
        return self.context_trs[1]

    def forward(
        self, vectors: Float[Tensor, "batch tr dim"]
    ) -> dict[str, Float[Tensor, "batch tr parcel"]]:
        # The same response for all subjects of a parcel, so heads and response commute.
        activity = self.heads(self._with_neighbours(vectors))
        n_subjects = len(activity)
        bold = self.hrf(rearrange(activity, "s b t p -> (s b) t p"))
        bold = rearrange(bold, "(s b) t p -> s b t p", s=n_subjects)
        return dict(zip(self.heads.subjects, bold, strict=True))

    def head_features(self, vectors: Float[Tensor, "tr dim"]) -> Float[Tensor, "feature tr parcel"]:
        """What a head weighs to predict a parcel: its inputs, each through the parcel's response.

        ``sum over features of weight * feature`` is the BOLD that `forward` gives of such a head.
        """
        given = rearrange(self._with_neighbours(vectors[None]), "1 t d -> d t 1")
        n_parcels = self.heads.shared.out_features
        return self.hrf(given.expand(-1, -1, n_parcels))

    def _with_neighbours(self, vectors: Tensor) -> Tensor:
        """Each TR's vector between those of the TRs around it, the earliest first; 0 outside."""
        if not any(self.context_trs):
            return vectors
        padded = F.pad(vectors, (0, 0, *self.context_trs))
        windows = padded.unfold(1, 1 + sum(self.context_trs), 1)
        return rearrange(windows, "b t d k -> b t (k d)")


class BoldPredictor(nn.Module):
    """Stimulus -> one vector a TR -> each subject's BOLD; the mean of several such networks.

    Arguments
        in_dim: features of a frame of sound; None where pictures are all that is given.
        frames_per_tr, stream: see `Stream`.
        subjects, n_parcels, tr_s: see `subtr.models.encoding_model.BoldReadout`.
        readout: size of the vector, response, and how many members start from different weights.
        pictures, picture_shape: of pictures beside the sound, or alone; see `JointStream`.

    Sound or pictures alone are given as frames, both as `subtr.models.batches.SoundAndPictures`.

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


def peak_times_s(predictor: BoldPredictor) -> Float64[np.ndarray, "member parcel"]:
    """Seconds from activity to the largest response in BOLD, by member and parcel.

    Of a response that does not learn it is the same everywhere; "kernel" tells it best, see
    `subtr.models.responses`.
    """
    return np.stack([readout.hrf.peak_times_s() for readout in predictor.readouts])


def peak_time_map(predictor: BoldPredictor, parcels: pd.DataFrame) -> pd.DataFrame:
    """The table of parcels with a column ``peak_s``, and ``low`` and ``high`` over members.

    Arguments
        parcels: of the study, index names, column ``tuning``.

    Raises
        SettingsError: the predictor has another number of parcels.
    """
    times_s = peak_times_s(predictor)
    if times_s.shape[1] != len(parcels):
        raise SettingsError(
            f"the predictor has {times_s.shape[1]} parcels, the table {len(parcels)}: give the "
            "parcels of the study that it was trained on."
        )
    columns = {"peak_s": times_s.mean(0), "low": times_s.min(0), "high": times_s.max(0)}
    return parcels.assign(**columns)
