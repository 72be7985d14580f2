"""How a window of frames divides into patches of time and space."""

from dataclasses import dataclass

from einops import repeat
from jaxtyping import Bool, Float
from torch import Tensor

from subtr.params import SettingsError


@dataclass(frozen=True)
class Patches:
    """Patches of ``patch_frames`` frames by ``patch_side`` bands, or by a square of pixels.

    Arguments
        n_frames: frames of a window.
        feature: shape of a frame: (bands,), or (3, height, width).
        patch_frames: frames of a patch.
        patch_side: bands of a patch, or pixels along either side of a square.

    Raises
        SettingsError: a window or frame that does not divide into whole patches.
    """

    n_frames: int
    feature: tuple[int, ...]
    patch_frames: int
    patch_side: int

    def __post_init__(self):
        name = "patch_bands" if self._is_sound else "patch_pixels"
        for option, size, lengths in (
            ("patch_frames", self.patch_frames, [self.n_frames]),
            (name, self.patch_side, self._sides),
        ):
            if any(length % size for length in lengths):
                raise SettingsError(
                    f"{option} = {size}: expected a divisor of "
                    f"{' and of '.join(map(str, lengths))}, the {option.removeprefix('patch_')} of "
                    "a window with its context."
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one patch: (frame, band), or (frame, 3, height, width)."""
        space = (self.patch_side,) if self._is_sound else (3, self.patch_side, self.patch_side)
        return (self.patch_frames, *space)

    @property
    def n_times(self) -> int:
        """Patches after each other."""
        return self.n_frames // self.patch_frames

    @property
    def space(self) -> tuple[int, ...]:
        """Patches beside each other: (ranges of bands,), or (rows, columns) of squares."""
        return tuple(side // self.patch_side for side in self._sides)

    def tiled(self, patch: Float[Tensor, "..."]) -> Float[Tensor, "frame *feature"]:
        """One patch, repeated over a window."""
        beside = self.space if self._is_sound else (1, *self.space)
        return patch.tile(self.n_times, *beside)

    def spread(self, mask: Bool[Tensor, "item time cell"]) -> Bool[Tensor, "item frame *_feature"]:
        """A mask of patches as one of values; for pictures one colour stands for all three."""
        size = self.patch_side
        mask = repeat(mask, "i t c -> i (t f) c", f=self.patch_frames)
        if self._is_sound:
            return repeat(mask, "i f c -> i f (c b)", b=size)
        rows = self.space[0]
        return repeat(mask, "i f (r c) -> i f 1 (r h) (c w)", r=rows, h=size, w=size)

    @property
    def _is_sound(self) -> bool:
        return len(self.feature) == 1

    @property
    def _sides(self) -> tuple[int, ...]:
        return self.feature if self._is_sound else self.feature[1:]
