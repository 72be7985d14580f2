"""What all judges share."""

from abc import abstractmethod
from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64, Shaped, UInt8

from subtr.metrics.bold import known_mean
from subtr.params import SettingsError, SubtrError
from subtr.stimulus.media import resample


class JudgeMissing(SubtrError, ImportError):  # noqa: N818
    """A judge's package or weights are not on this machine; the message says how to get them."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """An independent model, made by others, that scores reconstructions.

    A judge is built from its options alone, which are its fields; it loads its package and its
    weights when it is first asked, and works offline on the CPU.

    Class attributes
        name: by which `load_judge` finds it.
        criterion: the success criterion that it measures, in the words of a results table.
        package: what is installed for it, as PyPI calls it.
        licence: of code and weights.
        source: the paper it follows.
        modules: what it imports; all must be found for it to be at hand.
    """

    name: ClassVar[str]
    criterion: ClassVar[str]
    package: ClassVar[str]
    licence: ClassVar[str]
    source: ClassVar[str]
    modules: ClassVar[tuple[str, ...]] = ()

    def check(self) -> None:
        """Nothing, if all that the judge needs is at hand; nothing is loaded.

        Raises
            JudgeMissing: a module or weights are missing; a judge with weights extends this.
        """
        for module in self.modules:
            if find_spec(module) is None:
                raise self.missing(f"the Python module {module} is not installed")

    def missing(self, what: str, remedy: str = "") -> JudgeMissing:
        """The error that names what is missing; the remedy is `make judges` unless given."""
        remedy = remedy or f"`make judges` installs it ({self.package})"
        return JudgeMissing(f"The judge {self.name!r} cannot be used: {what}. {remedy}.")


@dataclass(frozen=True, kw_only=True)
class SoundJudge(Judge):
    """A judge of sound against sound; `compare` gives its measures by name.

    Class attributes
        own_rate_hz: samples per second that its model hears.
    """

    own_rate_hz: ClassVar[int] = 16000

    def compare(
        self,
        original: Float[np.ndarray, " sample"],
        found: Float[np.ndarray, " other_sample"],
        rate_hz: int,
    ) -> dict[str, float]:
        """Measures of a reconstruction, larger is better unless the class says otherwise.

        Arguments
            original, found: mono, full scale -1 to 1, of the same length.
            rate_hz: samples per second of both.

        Returns
            Name of a measure to its value; NaN where it is not defined, such as the
            intelligibility of silence.

        Raises
            SettingsError: different lengths, none, or values that are not finite.
            JudgeMissing: see `check`.
        """
        if len(original) != len(found):
            raise SettingsError(
                f"original has {len(original)} samples, the reconstruction {len(found)}: "
                "cut both to the same seconds."
            )
        pair = [sound_at(sound, rate_hz, self.own_rate_hz) for sound in (original, found)]
        return {name: float(value) for name, value in self._compare(*pair).items()}

    @abstractmethod
    def _compare(
        self, original: Float32[np.ndarray, " sample"], found: Float32[np.ndarray, " sample"]
    ) -> dict[str, float]:
        """Measures of a pair at `own_rate_hz`."""


def sound_at(
    sound: Float[np.ndarray, " sample"], rate_hz: int, own_rate_hz: int
) -> Float32[np.ndarray, " resampled"]:
    """A sound at the rate that a model hears, within full scale.

    Raises
        SettingsError: no samples, or values that are not finite.
    """
    if not len(sound) or not np.isfinite(sound).all():
        raise SettingsError(
            f"a sound of {len(sound)} samples, {np.count_nonzero(~np.isfinite(sound))} of them "
            "not finite: expected at least one sample, and finite ones."
        )
    if rate_hz != own_rate_hz:
        sound = resample(sound, rate_hz, own_rate_hz)
    return np.clip(sound, -1.0, 1.0).astype(np.float32)


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
