"""What the report calls success: ``criteria.yaml``, read and checked."""

import functools
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from subtr.judges import JUDGES
from subtr.params import Strict, load_params

FILE = Path(__file__).with_name("criteria.yaml")
LEVELS = ("minimum", "target", "stretch")


class Criterion(Strict):
    """One criterion and what answers it.

    ``of``: the modality that is judged. ``metric``: of the results table. ``judge``: the model that
    measures it, where one does. ``over``: the rival whose score is taken away, the gain being a
    share of it. ``minimum``, ``target``, ``stretch``: least values of phases 1 to 3; ``most``: what
    must not be exceeded. ``reason``: why it is not measured. ``note``: what the reader of a verdict
    should know.
    """

    of: Literal["sound", "pictures", "bold", "all"]
    criterion: str
    metric: str = ""
    judge: str = ""
    over: str = ""
    minimum: float | None = None
    target: float | None = None
    stretch: float | None = None
    most: float | None = None
    reason: str = ""
    note: str = ""

    @model_validator(mode="after")
    def _can_be_decided(self):
        if bool(self.metric) == bool(self.reason):
            raise ValueError("expected one of metric and reason")
        if self.metric and not self.levels() and self.most is None:
            raise ValueError("nothing is asked for: give minimum, target, stretch or most")
        if self.judge:
            JUDGES.check(self.judge, {})
        return self

    def levels(self) -> dict[str, float]:
        """Level -> least value, of the levels that are asked for; easiest first."""
        asked = {level: getattr(self, level) for level in LEVELS}
        return {level: least for level, least in asked.items() if least is not None}


class Criteria(Strict):
    """All of a file."""

    criteria: tuple[Criterion, ...] = Field(min_length=1)


@functools.lru_cache
def read_criteria(file: Path = FILE) -> tuple[Criterion, ...]:
    """The criteria of a YAML file, checked.

    Raises
        SettingsError: no such file, a misspelt key, an unknown judge, or nothing that decides.
    """
    return load_params(Criteria, file).criteria
