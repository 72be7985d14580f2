"""What is kept of time inside a TR: within-TR R², modulation transfer, motion."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Shaped
from scipy.signal import welch

from subtr.metrics.bold import known_mean, pearson_r
from subtr.params import SettingsError
from subtr.stimulus.flow import consistent_pixels, optical_flow
from subtr.timeline import Clock

# How much of what happens inside a TR a reconstruction keeps.
#
# A window is the stimulus of one TR: ``F`` frames of ``m`` features. "Within" means that each TR's
# own mean is taken out, feature by feature, so a constant per TR neither helps nor harms.

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


def within_tr_sums(
    original: Shaped[np.ndarray, "tr frame *feature"],
    reconstruction: Shaped[np.ndarray, "tr frame *feature"],
) -> PreservationSums:
    """Squared within-TR error and deviation per TR, for ``within_tr_r2`` and bootstraps.

    Arguments
        original, reconstruction: (n_trs, F, feature...), log-mel or pixel values of any scale.
    """
    inside = within_tr(original)
    error = inside - within_tr(reconstruction)
    rest = tuple(range(1, inside.ndim))
    return PreservationSums((error**2).sum(axis=rest), (inside**2).sum(axis=rest))


def within_tr_r2(
    original: Shaped[np.ndarray, "tr frame *feature"],
    reconstruction: Shaped[np.ndarray, "tr frame *feature"],
) -> float:
    """1 - sum(within-TR error^2) / sum(within-TR deviation^2).

    Averaging over the TR scores 0, perfection 1; below 0 the reconstruction invents structure that
    is worse than none. NaN when the original is constant within every TR.

    Arguments
        original, reconstruction: (n_trs, F, feature...), log-mel or pixel values of any scale.

    Example
        >>> import numpy as np, subtr as st
        >>> original = np.random.default_rng(0).normal(size=(10, 8, 4))
        >>> averaged = np.broadcast_to(original.mean(1, keepdims=True), original.shape)
        >>> st.within_tr_r2(original, original), abs(round(st.within_tr_r2(original, averaged), 6))
        (1.0, 0.0)
    """
    return within_tr_sums(original, reconstruction).score()


def within_tr_sums_by_band(
    original: Float[np.ndarray, "tr frame feature"],
    reconstruction: Float[np.ndarray, "tr frame feature"],
    frame_hz: float,
) -> dict[str, PreservationSums]:
    """As ``within_tr_sums``, for the modulation bands ``BANDS_HZ``.

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
    ``within_tr_r2``.
    """
    return float(pearson_r(original.reshape(-1, 1), reconstruction.reshape(-1, 1))[0])


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
    each = (of.reshape(n_trs * n_frames, -1).T for of in (original, reconstruction))
    return pearson_r(*each).reshape(n_trs, n_frames)


System = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class ModulationTransfer:
    """Gains of a system by modulation rate; 1 is perfect.

    gain: size of the response to the modulation, whatever the rate at which it comes out. For
        averaging this is the |sinc| of the TR, aliases included.
    faithful_gain: the part of the response at the driven rate and in its phase, so what a listener
        would recognise. For averaging it is the square of ``gain``.
    """

    rates_hz: Float64[np.ndarray, " rate"]
    gain: Float64[np.ndarray, " rate"]
    faithful_gain: Float64[np.ndarray, " rate"]

    @property
    def gain_db(self) -> Float64[np.ndarray, " rate"]:
        """``gain`` in decibel, no lower than -120."""
        return 20 * np.log10(np.maximum(self.gain, 1e-6))


def modulation_transfer(
    system: System,
    clock: Clock,
    rates_hz: Sequence[float | int] | Shaped[np.ndarray, " rate"],
    carrier: Float[np.ndarray, " feature"] | None = None,
    depth: Float[np.ndarray, " feature"] | float | int = 1.0,
    n_phases: int = 4,
) -> ModulationTransfer:
    """The modulation transfer function of any reconstruction, by driving it.

    All features of consecutive windows move as ``carrier + depth cos(2 pi rate t + phase)``. The
    gain compares the response, less the response to the plain carrier, with the drive, over all
    TRs and phases.

    Arguments
        system: windows (n_trs, F, feature) -> windows of the same shape; linear or not.
        clock: gives n_trs, F and the seconds of each frame.
        rates_hz: modulation rates, each below half of ``clock.frame_hz``.
        carrier: mean level of each feature, such as the training mean of the log-mel; 1 feature
            at 0 by default.
        depth: amplitude, one number or one a feature, in the carrier's unit.
        n_phases: phases of each rate, at least 2, evenly over half a cycle so that their powers add
            up to the same at every frame.

    Raises
        SettingsError: a rate that the frames cannot carry.

    Example
        >>> import subtr as st
        >>> clock = st.load_study("simulated", duration_s=60, n_subjects=2).clock
        >>> gain = st.modulation_transfer(lambda windows: windows, clock, [2.0, 4.0]).gain
        >>> [round(float(of), 6) for of in gain]
        [1.0, 1.0]
    """
    rates = np.asarray(rates_hz, dtype=np.float64)
    if n_phases < 2:
        raise SettingsError(f"n_phases = {n_phases}: expected at least 2.")
    if rates.size and not (rates.min() > 0 and rates.max() < clock.frame_hz / 2):
        raise SettingsError(
            f"rates_hz from {rates.min():g} to {rates.max():g}: expected above 0 and below half of "
            f"the frame rate ({clock.frame_hz / 2:g} Hz); use more frames per TR for faster rates."
        )
    carrier = np.zeros(1, np.float32) if carrier is None else carrier.astype(np.float32)
    times_s = clock.frame_times_s()
    plain = np.broadcast_to(carrier, (*times_s.shape, carrier.size)).copy()
    rest = np.asarray(system(plain), dtype=np.float64)

    gains, faithful = [], []
    for rate_hz in rates:
        drive_power = response_power = shared = 0.0
        for phase in np.pi * np.arange(n_phases) / n_phases:
            wave = np.cos(2 * np.pi * rate_hz * times_s + phase)[..., None]
            drive = (wave * depth + 0 * carrier).astype(np.float32)
            response = np.asarray(system(plain + drive), dtype=np.float64) - rest
            drive_power += float((drive.astype(np.float64) ** 2).sum())
            response_power += float((response**2).sum())
            shared += float((drive * response).sum())
        gains.append(np.sqrt(response_power / drive_power))
        faithful.append(shared / drive_power)
    return ModulationTransfer(rates, np.array(gains), np.array(faithful))


def averaging_gain(
    rates_hz: Shaped[np.ndarray, " rate"], tr_s: float, frames_per_tr: int
) -> Float64[np.ndarray, " rate"]:
    """The gain of a mean over ``frames_per_tr`` frames: |sin(pi f TR) / (F sin(pi f TR / F))|.

    The sampled form of |sinc(f TR)|; exactly 0 at whole cycles a TR (2, 4 and 8 Hz at 1.5 s).
    """
    cycles = np.asarray(rates_hz, dtype=np.float64) * tr_s
    small = frames_per_tr * np.sin(np.pi * cycles / frames_per_tr)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.abs(small) < 1e-12, 1.0, np.abs(np.sin(np.pi * cycles) / small))


def modulation_spectrum(
    frames: Float[np.ndarray, "frame feature"], frame_hz: float, window_s: float = 12.0
) -> tuple[Float64[np.ndarray, " rate"], Float64[np.ndarray, " rate"]]:
    """Mean amplitude of modulation by rate (Welch, Hann windows, half overlap, over features).

    Arguments
        frames: (n_frames, feature) consecutive frames, such as the log-mel.
        window_s: length of a window in seconds; its inverse is the resolution in hertz.

    Returns
        rates_hz (n,), amplitude (n,) in the frames' unit; rate 0 is left out.
    """
    size = min(round(window_s * frame_hz), len(frames))
    rates_hz, power = welch(
        frames.astype(np.float64), frame_hz, nperseg=size, noverlap=size - max(size // 2, 1),
        scaling="spectrum", axis=0,
    )  # fmt: skip
    power = power.mean(axis=1)
    if size % 2 == 0:  # where a rate has no negative twin, Welch does not double it
        power[-1] *= 2
    return rates_hz[1:], np.sqrt(2 * power[1:])


# Whether what moves in a film moves alike in its reconstruction.
#
# Flow is taken between consecutive pictures of the same TR. None is taken across the border of two
# TRs: held-out TRs need not follow each other, and each is rebuilt from numbers of its own.


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
