"""Judges that see an original film and its reconstruction, picture beside picture."""

from abc import abstractmethod
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64, Shaped, UInt8

from subtr.judges.judge import Judge
from subtr.metrics.bold import known_mean
from subtr.params import SettingsError

Film = Shaped[np.ndarray, "tr picture height width 3"]
# Of any size, which is then checked with an error that says what to do.
Other = Shaped[np.ndarray, "_ _ _ _ 3"]


@dataclass(frozen=True, kw_only=True)
class PictureJudge(Judge):
    """A judge of pictures against pictures; gives its measures by name, TR by TR."""

    def per_tr(self, original: Film, found: Other) -> dict[str, Float64[np.ndarray, " tr"]]:
        """Measures of each TR, so that a bootstrap can resample TRs; NaN where not defined.

        Arguments
            original, found: 0 to 255 as integers or 0 to 1 as floats, of the same shape.

        Raises
            SettingsError: different shapes, or values that are not finite.
            JudgeMissing: see `check`.
        """
        return self._per_tr(*checked_pair(original, found))

    def compare(self, original: Film, found: Other) -> dict[str, float]:
        """Measures over all TRs. Arguments and errors: see `per_tr`."""
        return {name: known_mean(of) for name, of in self.per_tr(original, found).items()}

    @abstractmethod
    def _per_tr(self, original: np.ndarray, found: np.ndarray) -> dict[str, np.ndarray]:
        """Measures of films of 0 to 255."""


def checked_pair(original: Film, found: Other) -> tuple[UInt8[np.ndarray, "_ _ _ _ 3"], ...]:
    """Both films as integers, 0 to 255.

    Raises
        SettingsError: different shapes, or values that are not finite.
    """
    if original.shape != found.shape:
        raise SettingsError(
            f"the original has the shape {original.shape}, the reconstruction {found.shape}: "
            "expected the same TRs, pictures and pixels."
        )
    return as_bytes(original), as_bytes(found)


def as_bytes(film: Shaped[np.ndarray, "*picture 3"]) -> UInt8[np.ndarray, "*picture 3"]:
    """Pictures as integers, 0 to 255, from those or from floats of 0 to 1, which are clipped.

    Raises
        SettingsError: values that are not finite.
    """
    if film.dtype == np.uint8:
        return film
    if not np.isfinite(film).all():
        raise SettingsError(
            f"{np.count_nonzero(~np.isfinite(film))} values of the pictures are not finite: "
            "expected floats of 0 to 1."
        )
    return np.rint(255 * np.clip(film, 0, 1)).astype(np.uint8)


def enlarged(
    picture: UInt8[np.ndarray, "height width 3"], least_pixels: int
) -> UInt8[np.ndarray, "tall wide 3"]:
    """A picture enlarged by a whole number, so that its smaller side has ``least_pixels``."""
    factor = enlargement(*picture.shape[:2], least_pixels)
    if factor == 1:
        return picture
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)


def enlargement(height: int, width: int, least_pixels: int) -> int:
    """The whole number by which `enlarged` enlarges."""
    return max(1, -(-least_pixels // min(height, width)))
