"""What a system does to modulation of a known rate, measured by driving it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Shaped
from scipy.fft import rfft, rfftfreq

from subtr.params import SettingsError
from subtr.timeline import Clock

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
    taper = np.hanning(size + 1)[:-1]
    starts = range(0, len(frames) - size + 1, max(size // 2, 1))
    power = 0.0
    for start in starts:
        piece = frames[start : start + size].astype(np.float64)
        piece = (piece - piece.mean(0)) * taper[:, None]
        power = power + (np.abs(rfft(piece, axis=0)) ** 2).mean(1)
    amplitude = np.sqrt(power / len(starts)) * 2 / taper.sum()
    return rfftfreq(size, 1 / frame_hz)[1:], amplitude[1:]
