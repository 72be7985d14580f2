"""What the report claims: ``claims.yaml``, read and checked."""

import functools
import math
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from subtr.claims.measurements import check_measurement
from subtr.params import Strict, load_params

FILE = Path(__file__).with_name("claims.yaml")
# A claim of a single number is taken to be rounded.
ROUNDED = 0.1


class Scored(Strict):
    """A score in tables of results that answers a claim.

    ``systems``: names that it may have there. ``over``: the rival whose score is taken away; none
    for the score itself. ``relative``: the gain as a share of the rival's score. ``percent``: times
    100.
    """

    systems: tuple[str, ...] = Field(min_length=1)
    metric: str = "temporal preservation"
    modality: Literal["sound", "pictures", "bold"] = "sound"
    over: str | None = None
    relative: bool = False
    percent: bool = True


class Claim(Strict):
    """One number of the report, and what answers it.

    ``section``: of the report. ``low``, ``high``: what is claimed, ends included; equal where it is
    one number, 10 % of which is allowed for rounding. ``sense``: "between" both ends; "at least",
    where more is better, so that only ``low`` can be missed; "at most" likewise. ``measurement``: a
    name of `measurements.MEASUREMENTS`; or ``scored``; or the ``reason`` why it is not measured.
    ``note``: what the reader of a verdict should know.
    """

    section: str
    claim: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    sense: Literal["between", "at least", "at most"] = "between"
    measurement: str | None = None
    scored: Scored | None = None
    reason: str | None = None
    note: str = ""

    @model_validator(mode="after")
    def _can_be_decided(self):
        answers = [self.measurement, self.scored, self.reason]
        if sum(answer is not None for answer in answers) != 1:
            raise ValueError("expected one of measurement, scored and reason")
        if self.measurement is not None:
            check_measurement(self.measurement)
        low, high = self.bounds()
        if self.reason is None and low == -math.inf and high == math.inf:
            raise ValueError(f"nothing is claimed that could be {self.sense}: give low or high")
        if low > high:
            raise ValueError(f"low = {self.low} is more than high = {self.high}")
        return self

    def bounds(self) -> tuple[float, float]:
        """The least and the most with which the claim holds."""
        low = -math.inf if self.low is None or self.sense == "at most" else self.low
        high = math.inf if self.high is None or self.sense == "at least" else self.high
        if low == high:
            low, high = low - ROUNDED * abs(low), high + ROUNDED * abs(high)
        return low, high


class Claims(Strict):
    """All of a file."""

    claims: tuple[Claim, ...] = Field(min_length=1)


@functools.lru_cache
def read_claims(file: Path = FILE) -> tuple[Claim, ...]:
    """The claims of a YAML file, checked.

    Raises
        SettingsError: no such file, a misspelt key, an unknown measurement, or a claim that nothing
            answers; the message names the place.
    """
    return load_params(Claims, file).claims
