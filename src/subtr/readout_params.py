"""How TR vectors become BOLD, as a system's file says it, and what a study allows of that."""

import warnings
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from subtr.datasets.study import Study
from subtr.params import SettingsError, Strict, StudyWarning
from subtr.responses import RESPONSES
from subtr.streams import Part

_TRs = Annotated[int, Field(ge=0, le=64)]


class ReadoutParams(Strict):
    """TR vectors -> BOLD.

    ``response``: a name from `subtr.responses`, or the name with options, such as
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
