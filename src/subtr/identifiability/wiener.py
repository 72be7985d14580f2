"""The best linear estimate from the same volumes, if all statistics were known: by formula."""

import math

import numpy as np
from scipy.linalg import cho_factor, cho_solve, toeplitz

from subtr.datasets.simulated import noise_autocovariance
from subtr.identifiability.recovery import WINDOW_S
from subtr.identifiability.response import transfer
from subtr.identifiability.scan import Scan
from subtr.identifiability.simulation import check_kind

_N_LINES = 401


def expected_r(scan: Scan, rate_hz: float | int, kind: str) -> float:
    """What `recover` comes to on an endless recording.

    The finite Wiener filter: r^2 = c' (S + N)^-1 c / v, with the covariances S of the volumes'
    signal, N of their noise, c of signal and target, and the target's variance v. S and c are the
    spectrum of the drive times |HRF(f)|^2 and HRF(f), at lags of whole TRs, which folds what is
    faster than half a volume's rate. Parcels that differ in gain alone count as one, whose SNR is
    theirs together.

    Arguments
        rate_hz, kind: as in `simulate`.

    Source: Kay 1993, Fundamentals of Statistical Signal Processing, equation 12.49.
    """
    check_kind(kind)
    lines_hz, weights, kept, n_parts = _spectrum(scan, float(rate_hz), kind)
    passed = transfer(scan.response, lines_hz)
    lags = np.arange(math.floor(WINDOW_S / scan.tr_s + 1e-9) + 1)
    turned = np.exp(2j * np.pi * np.outer(lags, lines_hz) * scan.tr_s)
    snr = scan.snr * parcels_together(scan)
    signal = turned.real @ (weights * np.abs(passed) ** 2)
    noise = noise_autocovariance(len(lags), scan.tr_s)
    factor = cho_factor(toeplitz(snr * signal + noise))
    cross = math.sqrt(snr) * (turned @ (weights * kept * passed))
    variance = float(weights @ kept**2)
    of_part = (cross.real, cross.imag)[:n_parts]
    shares = [float(part @ cho_solve(factor, part)) / variance for part in of_part]
    return float(np.mean(np.sqrt(shares)))


def parcels_together(scan: Scan) -> float:
    """The SNR of all parcels, weighted at best, in units of one parcel's: g' C^-1 g.

    With independent noise it is their number; noise in common cancels only as gains differ.
    """
    n, share = scan.n_parcels, scan.noise_correlation
    # Mean square of the sum of gains whose squares sum to n.
    sum_square = n + n * (n - 1) * math.exp(-(scan.gain_spread**2))
    return (n - share * sum_square / (1 + (n - 1) * share)) / (1 - share)


def _spectrum(scan: Scan, rate_hz: float, kind: str):
    """Rates of the drive, their share of its variance, what a TR's mean keeps, number of parts."""
    lines = (np.arange(_N_LINES) + 0.5) / _N_LINES
    if kind == "wave":
        from_rate_hz = (2 * lines - 1) * scan.envelope_hz
        weights = np.full(_N_LINES, 1 / _N_LINES)
        return rate_hz + from_rate_hz, weights, np.sinc(from_rate_hz * scan.tr_s), 2
    # The power of a Gaussian envelope has the spectrum of its own convolved with itself.
    lines_hz = 2 * scan.envelope_hz * lines
    weights = 2 * (1 - lines) / _N_LINES
    return lines_hz, weights, np.sinc(lines_hz * scan.tr_s), 1
