"""How near single pictures come to the original, by formulas that everybody uses."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from subtr.judges.pictures import PictureJudge
from subtr.metrics.bold import known_mean
from subtr.metrics.temporal import frame_correlations

_LEAST_ERROR = 255**2 * 1e-10


@dataclass(frozen=True, kw_only=True)
class FrameQuality(PictureJudge):
    """Measures ``frame correlation`` and ``ssim``, at most 1, and ``psnr`` in dB.

    Pearson correlation over pixels and colours; structural similarity in Gaussian windows, the
    mean of the three colours; peak signal-to-noise ratio of the TR's squared error, at most 100 dB.
    A picture without contrast has no correlation (NaN).
    """

    name: ClassVar[str] = "frames"
    criterion: ClassVar[str] = "frame quality"
    package: ClassVar[str] = "scikit-image"
    licence: ClassVar[str] = "BSD-3-Clause"
    source: ClassVar[str] = "Wang, Bovik, Sheikh and Simoncelli 2004 (SSIM)"
    modules: ClassVar[tuple[str, ...]] = ("skimage",)

    def _per_tr(self, original, found):
        self.check()
        from skimage.metrics import structural_similarity

        n_trs, n_pictures = original.shape[:2]
        ssim = np.zeros((n_trs, n_pictures))
        for index in np.ndindex(n_trs, n_pictures):
            ssim[index] = structural_similarity(
                original[index], found[index], channel_axis=2, data_range=255,
                gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
            )  # fmt: skip
        error = (original.astype(np.float64) - found).reshape(n_trs, -1)
        psnr = 10 * np.log10(255**2 / np.maximum((error**2).mean(axis=1), _LEAST_ERROR))
        correlation = known_mean(frame_correlations(original, found), axis=1)
        return {"frame correlation": correlation, "ssim": ssim.mean(axis=1), "psnr": psnr}
