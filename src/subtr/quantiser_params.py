"""How many codes a TR may be told by, and how they are learned."""

from pydantic import Field, model_validator

from subtr.params import Strict


class QuantiserParams(Strict):
    """How many codes a TR may be told by.

    ``n_coarse``, ``coarse_size``: codebooks of the TR vector, each of what the ones before left,
    and codes of each. ``n_fine``, ``fine_size``: the same for every fine frame; 0 codebooks leave
    the fine level out. ``fine_frames``: fine frames a TR. ``decay``: of the running means that the
    codes follow, a batch. ``dead_below``: running number of vectors a batch below which a code is
    put where a vector of the batch is. ``search_width``: codes of each codebook that are tried on
    together when not training. ``commitment``: weight of the pull of latents to their codes.
    """

    n_coarse: int = Field(4, ge=1, le=64)
    coarse_size: int = Field(256, ge=2, le=65536)
    n_fine: int = Field(2, ge=0, le=64)
    fine_size: int = Field(256, ge=2, le=65536)
    fine_frames: int = Field(16, ge=1, le=4096)
    decay: float = Field(0.99, gt=0, lt=1)
    dead_below: float = Field(0.001, ge=0)
    search_width: int = Field(4, ge=1, le=64)
    commitment: float = Field(0.25, ge=0)

    @model_validator(mode="after")
    def _whole_bits(self):
        for name, size in (("coarse_size", self.coarse_size), ("fine_size", self.fine_size)):
            if size & (size - 1):
                raise ValueError(f"{name} = {size}: expected a power of 2, so that bits are whole")
        return self

    @property
    def bits_per_tr(self) -> int:
        """All that is kept of a TR, in bits: each code costs log2 of its codebook's size."""
        coarse = self.n_coarse * (self.coarse_size.bit_length() - 1)
        return coarse + self.fine_frames * self.n_fine * (self.fine_size.bit_length() - 1)


class CodeParams(QuantiserParams):
    """``codes`` of an autoencoder of sound: its TR is told by whole numbers.

    ``fine_dim``: size of a fine frame's latent before it becomes codes. Of ``floats_per_tr``, these
    latents are the last, and the TR vector is what comes before them. ``coarse_weight``: of the
    reconstruction from coarse codes alone.
    """

    fine_dim: int = Field(16, ge=1, le=8192)
    coarse_weight: float = Field(0.25, ge=0)

    @property
    def fine_floats(self) -> int:
        """Numbers of a TR that the fine codes stand for."""
        return self.fine_frames * self.fine_dim if self.n_fine else 0
