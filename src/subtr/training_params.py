"""How long and how fast networks are trained."""

from typing import Literal

from pydantic import Field

from subtr.params import Strict


class TrainingParams(Strict):
    """How long and how fast to train; times in epochs, rates a step.

    ``started_rate``: learning rate, relative to the others, of weights that start from a solution
    such as PCA; 0 keeps it.
    """

    max_epochs: int = Field(100, ge=1)
    check_every_epochs: int = Field(5, ge=1)
    patience_checks: int = Field(6, ge=1)
    learning_rate: float = Field(1.0e-3, gt=0, le=1)
    started_rate: float = Field(0.02, ge=0, le=1)
    schedule: Literal["constant", "cosine"] = "cosine"
    weight_decay: float = Field(1.0e-2, ge=0)
    gradient_clip: float = Field(1.0, gt=0)
    precision: Literal["auto", "32", "bf16"] = "auto"
    compile: bool = False
