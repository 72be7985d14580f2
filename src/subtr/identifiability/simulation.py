"""A stimulus that is modulated at one rate, and the BOLD of parcels that respond to it."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex128, Float64
from scipy.fft import ifft, next_fast_len

from subtr.bold.hrf import VOLUME_FRACTION, convolve_hrf
from subtr.datasets.simulated import bold_noise
from subtr.identifiability.scan import KINDS, Scan
from subtr.params import SettingsError
from subtr.timeline import HRF_DURATION_S

_LONGEST_STEP_S = 0.05
_STEPS_PER_CYCLE = 8


@dataclass(frozen=True)
class Recording:
    """BOLD, and what is to be told from it.

    Arguments
        bold: noise has variance 1.
        target: of a "wave" its cosine and its sine part in each TR, the phase counted from the
            TR's middle; of "power" its mean in each TR.
    """

    bold: Float64[np.ndarray, "tr parcel"]
    target: Float64[np.ndarray, "tr part"]


def simulate(scan: Scan, rate_hz: float | int, kind: str, seed: int) -> Recording:
    """BOLD of a stimulus A(t) cos(2 pi rate t + phase(t)) whose strength A fluctuates slowly.

    The drive of all parcels has variance 1. As a "wave" it is the modulation itself. As "power" it
    is A squared, which a pair of detectors tuned to the rate and a quarter of a cycle apart gives
    (Adelson and Bergen 1985); the rate then matters to the detectors alone. Every rate has random
    numbers of its own; settings of the scan share them, so that what differs is the setting.

    Volumes are sampled at an instant and not averaged over the TR, for a slice takes milliseconds.

    Arguments
        rate_hz: of the modulation, not below ``scan.envelope_hz``.
        kind: "wave" or "power".

    Raises
        SettingsError: unknown kind, or a rate slower than the envelope.
    """
    check_kind(kind)
    if rate_hz < scan.envelope_hz:
        raise SettingsError(
            f"rate_hz = {rate_hz:g}: expected at least envelope_hz = {scan.envelope_hz:g} Hz, or "
            "the modulation and its strength cannot be told apart. Use a slower envelope."
        )
    random = np.random.default_rng([seed, round(1e6 * rate_hz), KINDS.index(kind)])
    of_envelope, of_gains, of_noise = random.spawn(3)
    finest_s = min(_LONGEST_STEP_S, 1 / (_STEPS_PER_CYCLE * rate_hz))
    steps_per_tr = math.ceil(scan.tr_s / finest_s - 1e-9)
    step_s = scan.tr_s / steps_per_tr
    # Before volume 0 the stimulus has run for as long as BOLD remembers.
    n_lead = math.ceil(HRF_DURATION_S / scan.tr_s)
    n_trs = n_lead + math.floor(scan.duration_s / scan.tr_s + 1e-9)
    n_steps = n_trs * steps_per_tr
    envelope = _slow_envelope(n_steps, step_s, scan.envelope_hz, of_envelope)
    by_tr = envelope.reshape(n_trs, steps_per_tr)
    if kind == "wave":
        drive = math.sqrt(2) * (envelope * _turned(n_steps, step_s, 0.5, rate_hz)).real
        middle = by_tr.mean(axis=1) * _turned(n_trs, scan.tr_s, VOLUME_FRACTION, rate_hz)
        target = math.sqrt(2) * np.stack([middle.real, middle.imag], axis=1)
    else:
        drive = np.abs(envelope) ** 2 - 1
        target = drive.reshape(by_tr.shape).mean(axis=1, keepdims=True)
    signal = convolve_hrf(drive[:, None], step_s, scan.tr_s, scan.response)[n_lead:]
    gains = np.exp(scan.gain_spread * of_gains.standard_normal(scan.n_parcels))
    gains /= math.sqrt(np.mean(gains**2))
    noise = _noise(scan, n_trs - n_lead, of_noise)
    return Recording(math.sqrt(scan.snr) * signal * gains + noise, target[n_lead:])


def check_kind(kind: str) -> None:
    """Raises SettingsError for what is not in `KINDS`."""
    if kind not in KINDS:
        raise SettingsError(f"kind = {kind!r}: expected one of {', '.join(KINDS)}.")


def _noise(scan: Scan, n_trs: int, rng: np.random.Generator) -> Float64[np.ndarray, "tr parcel"]:
    own = bold_noise(n_trs, scan.n_parcels, scan.tr_s, rng)
    shared = bold_noise(n_trs, 1, scan.tr_s, rng)
    share = scan.noise_correlation
    return math.sqrt(1 - share) * own + math.sqrt(share) * shared


def _turned(n: int, step_s: float, fraction: float, rate_hz: float) -> np.ndarray:
    """Unit vectors that turn at the rate, one a step."""
    return np.exp(2j * np.pi * rate_hz * step_s * (np.arange(n) + fraction))


def _slow_envelope(
    n_steps: int, step_s: float, highest_hz: float, rng: np.random.Generator
) -> Complex128[np.ndarray, " step"]:
    """Gaussian, of mean square 1, with equal power at all rates up to ``highest_hz``."""
    # The sum of waves repeats itself; the cut keeps its end from foretelling its beginning.
    n = next_fast_len(n_steps + math.ceil(2 / (highest_hz * step_s)))
    highest = math.floor(highest_hz * n * step_s)
    waves = np.zeros(n, np.complex128)
    n_waves = 2 * highest + 1
    parts = rng.standard_normal((2, n_waves)) / math.sqrt(2 * n_waves)
    waves[np.arange(-highest, highest + 1)] = parts[0] + 1j * parts[1]
    return n * ifft(waves)[:n_steps]
