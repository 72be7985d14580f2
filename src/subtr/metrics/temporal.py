"""How much of what happens inside a TR a reconstruction keeps.

A window is the stimulus of one TR: ``F`` frames of ``m`` features. "Within" means that each TR's
own mean is taken out, feature by feature, so a constant per TR neither helps nor harms.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Shaped

from subtr.metrics.bold import known_mean
from subtr.params import SettingsError

# Half-open bands in hertz. The lowest takes every frequency from one cycle a TR upward (0.67 Hz at
# a TR of 1.5 s), so that the bands together hold all of the within-TR energy.
BANDS_HZ: dict[str, tuple[float, float]] = {
    "under 2 Hz": (0.0, 2.0),
    "2-4 Hz": (2.0, 4.0),
    "4-8 Hz": (4.0, 8.0),
    "8-16 Hz": (8.0, 16.0),
    "over 16 Hz": (16.0, np.inf),
}


@dataclass(frozen=True)
class PreservationSums:
    """Squared within-TR error and deviation of each TR; ``score`` is their 1 - ratio.

    Kept per TR so that a bootstrap can resample TRs: ``sums.score(indices)``.
    """

    error: Float[np.ndarray, " tr"]
    deviation: Float[np.ndarray, " tr"]

    def score(self, trs: Shaped[np.ndarray, " n"] | None = None) -> float:
        """1 - sum(error) / sum(deviation) over the chosen TRs (all by default).

        NaN when the original does not change within any of them: nothing was there to keep.
        """
        trs = slice(None) if trs is None else trs
        deviation = self.deviation[trs].sum()
        return float(1 - self.error[trs].sum() / deviation) if deviation > 0 else float("nan")


def within_tr(
    windows: Shaped[np.ndarray, "tr frame *feature"],
) -> Float[np.ndarray, "tr frame *feature"]:
    """The windows (TR, frame, feature...) without each TR's mean per feature, in float64."""
    windows = windows.astype(np.float64)
    return windows - windows.mean(axis=1, keepdims=True)


def preservation_sums(
    original: Shaped[np.ndarray, "tr frame *feature"],
    reconstruction: Shaped[np.ndarray, "tr frame *feature"],
) -> PreservationSums:
    """Squared within-TR error and deviation per TR, for ``temporal_preservation`` and bootstraps.

    Arguments
        original, reconstruction: (n_trs, F, feature...), log-mel or pixel values of any scale.
    """
    inside = within_tr(original)
    error = inside - within_tr(reconstruction)
    rest = tuple(range(1, inside.ndim))
    return PreservationSums((error**2).sum(axis=rest), (inside**2).sum(axis=rest))


def temporal_preservation(
    original: Shaped[np.ndarray, "tr frame *feature"],
    reconstruction: Shaped[np.ndarray, "tr frame *feature"],
) -> float:
    """1 - sum(within-TR error^2) / sum(within-TR deviation^2).

    Averaging over the TR scores 0, perfection 1; below 0 the reconstruction invents structure that
    is worse than none. NaN when the original is constant within every TR.

    Arguments
        original, reconstruction: (n_trs, F, feature...), log-mel or pixel values of any scale.
    """
    return preservation_sums(original, reconstruction).score()


def preservation_sums_by_band(
    original: Float[np.ndarray, "tr frame feature"],
    reconstruction: Float[np.ndarray, "tr frame feature"],
    frame_hz: float,
) -> dict[str, PreservationSums]:
    """As ``preservation_sums``, for the modulation bands ``BANDS_HZ``.

    The Fourier transform runs along the frames of each TR. By Parseval's theorem the bands add up
    to the whole. Bands above half of ``frame_hz`` hold nothing and score NaN.
    """
    if frame_hz <= 0:
        raise SettingsError(f"frame_hz = {frame_hz!r}: expected frames per second, above 0.")
    n_frames = original.shape[1]
    rates_hz = np.fft.rfftfreq(n_frames, 1 / frame_hz)
    # A real signal's rate stands for two bins of the full transform, save 0 and the Nyquist rate.
    weight = np.where((rates_hz == 0) | np.isclose(rates_hz, frame_hz / 2), 1.0, 2.0) / n_frames
    inside = within_tr(original)

    def energy(windows):  # (tr, rate)
        spectrum = np.fft.rfft(windows, axis=1)
        return (np.abs(spectrum) ** 2).sum(axis=2) * weight

    error = energy(inside - within_tr(reconstruction))
    deviation = energy(inside)
    sums = {}
    for band, (low_hz, high_hz) in BANDS_HZ.items():
        # Rounding must not push the 2 Hz bin of a 1.5 s TR into the band below.
        chosen = (rates_hz > 0) & (rates_hz >= low_hz - 1e-6) & (rates_hz < high_hz - 1e-6)
        sums[band] = PreservationSums(error[:, chosen].sum(1), deviation[:, chosen].sum(1))
    return sums


def mel_correlation(
    original: Shaped[np.ndarray, "tr frame *feature"],
    reconstruction: Shaped[np.ndarray, "tr frame *feature"],
) -> float:
    """Pearson correlation over all values at once; NaN when either is constant.

    Generous by nature: the spectrum's mean shape alone earns much of it. Read it beside
    ``temporal_preservation``.
    """
    a = original.astype(np.float64).ravel()
    b = reconstruction.astype(np.float64).ravel()
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else float("nan")


def frame_correlation(
    original: Shaped[np.ndarray, "tr frame *feature"],
    reconstruction: Shaped[np.ndarray, "tr frame *feature"],
) -> float:
    """Mean over frames of the Pearson correlation between an original frame and its reconstruction.

    Each frame is correlated over its own values (pixels, or mel bands). Frames that are constant in
    the original or the reconstruction have no correlation and are left out; NaN if all are.
    """
    return known_mean(frame_correlations(original, reconstruction))


def frame_correlations(
    original: Shaped[np.ndarray, "tr frame *feature"],
    reconstruction: Shaped[np.ndarray, "tr frame *feature"],
) -> Float64[np.ndarray, "tr frame"]:
    """The correlation of each frame, see `frame_correlation`; NaN where there is none."""
    n_trs, n_frames = original.shape[:2]
    a = original.astype(np.float64).reshape(n_trs, n_frames, -1)
    b = reconstruction.astype(np.float64).reshape(n_trs, n_frames, -1)
    a, b = a - a.mean(2, keepdims=True), b - b.mean(2, keepdims=True)
    norm = np.sqrt((a * a).sum(2) * (b * b).sum(2))
    return np.where(norm > 1e-12, (a * b).sum(2) / np.maximum(norm, 1e-12), np.nan)
