"""Whether what moves in a film moves alike in its reconstruction.

Flow is taken between consecutive pictures of the same TR. None is taken across the border of two
TRs: held-out TRs need not follow each other, and each is rebuilt from numbers of its own.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from subtr.params import SettingsError
from subtr.stimulus.flow import consistent_pixels, optical_flow


@dataclass(frozen=True)
class MotionSums:
    """Sums over the pixels of each TR, so that a bootstrap can resample TRs.

    together: dot products of the two flows, in squared pixels.
    original, reconstruction: squared lengths of each.
    error, length: length of their difference, and of the original's flow, in pixels.
    """

    together: Float[np.ndarray, " tr"]
    original: Float[np.ndarray, " tr"]
    reconstruction: Float[np.ndarray, " tr"]
    error: Float[np.ndarray, " tr"]
    length: Float[np.ndarray, " tr"]

    def coherence(self, trs: Shaped[np.ndarray, " n"] | None = None) -> float:
        """Cosine of the two flows over all pixels of the chosen TRs (all by default).

        1 for the same motion, however fast; 0 for a reconstruction that stands still or moves by
        chance; -1 for motion that runs backwards. A pixel counts by how far it moves in both, so
        ground that rightly stands still adds nothing, and ground that wrongly moves takes away.
        NaN when nothing moves in the original.
        """
        trs = slice(None) if trs is None else trs
        original, reconstruction = self.original[trs].sum(), self.reconstruction[trs].sum()
        if original == 0:
            return float("nan")
        if reconstruction == 0:
            return 0.0
        return float(self.together[trs].sum() / np.sqrt(original * reconstruction))

    def end_point_error(self, trs: Shaped[np.ndarray, " n"] | None = None) -> float:
        """Mean length of the difference over that of the original's flow: 0 is perfect.

        1 for a reconstruction that stands still, and above for one worse than that. NaN when
        nothing moves in the original.
        """
        trs = slice(None) if trs is None else trs
        length = self.length[trs].sum()
        return float(self.error[trs].sum() / length) if length > 0 else float("nan")


def flow_sums(
    original: Float[np.ndarray, "tr *pixel xy"],
    reconstruction: Float[np.ndarray, "tr *pixel xy"],
) -> MotionSums:
    """The sums of two flows in pixels per picture; pixels that must not count are 0 in both."""
    original, reconstruction = original.astype(np.float64), reconstruction.astype(np.float64)
    rest = tuple(range(1, original.ndim - 1))

    def over_pixels(values):
        return values.sum(axis=rest)

    return MotionSums(
        over_pixels((original * reconstruction).sum(-1)),
        over_pixels((original**2).sum(-1)),
        over_pixels((reconstruction**2).sum(-1)),
        over_pixels(np.linalg.norm(reconstruction - original, axis=-1)),
        over_pixels(np.linalg.norm(original, axis=-1)),
    )


def motion_sums(
    original: Shaped[np.ndarray, "tr picture height width rgb"],
    reconstruction: Shaped[np.ndarray, "tr picture height width rgb"],
) -> MotionSums:
    """Optical flow of two films compared, TR by TR.

    Pixels count where the flow of the original leads back to where it came from
    (`consistent_pixels`): not after a cut, nor where ground comes out from behind something. The
    reconstruction has no say in which.

    Arguments
        original, reconstruction: pictures, 0 to 255 as integers or 0 to 1 as floats.

    Raises
        SettingsError: fewer than two pictures a TR, between which there is no motion to compare.
    """
    if original.shape[1] < 2:
        raise SettingsError(
            f"{original.shape[1]} picture a TR: expected at least 2 to see motion within a TR; "
            "raise frames_per_tr of the pictures."
        )
    flow = optical_flow(original)
    counted = consistent_pixels(original, flow)[..., None]
    return flow_sums(flow * counted, optical_flow(reconstruction) * counted)
