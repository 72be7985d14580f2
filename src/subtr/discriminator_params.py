"""How discriminators are built, and when they have a say."""

from typing import Annotated

from pydantic import Field, field_validator

from subtr.params import Strict


class DiscriminatorParams(Strict):
    """Discriminators of a signal, see `subtr.discriminators`.

    ``feature_matching`` is relative to the weight of the verdict, as in HiFi-GAN, where it is 2.
    ``periods``: samples, or frames, from one to the next that a discriminator sees.
    ``n_scales``: how often the signal is halved for further ones, plus one.
    ``widths``: features of each layer; ``kernel``, ``stride``: of its convolution.
    ``learning_rate``: of the discriminators. ``after``: share of the epochs before they have a say;
    they learn from the start.
    """

    feature_matching: float = Field(2.0, ge=0, allow_inf_nan=False)
    periods: tuple[Annotated[int, Field(ge=2, le=64)], ...] = (2, 3, 5, 7, 11)
    n_scales: int = Field(3, ge=0, le=8)
    widths: tuple[Annotated[int, Field(ge=1, le=2048)], ...] = Field((32, 64, 128), min_length=1)
    kernel: Annotated[int, Field(ge=3, le=63)] = 5
    stride: Annotated[int, Field(ge=1, le=8)] = 2
    learning_rate: float = Field(2.0e-4, gt=0, le=1)
    after: float = Field(0.0, ge=0, lt=1)

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("expected an odd number")
        return kernel

    @field_validator("n_scales")
    @classmethod
    def _some(cls, n_scales: int, info) -> int:
        if not n_scales and not info.data.get("periods"):
            raise ValueError("expected at least one scale or one period")
        return n_scales
