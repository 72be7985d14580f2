""""""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Complex128, Float, Float64
from pydantic import Field, ValidationError, model_validator
from scipy.fft import ifft, next_fast_len
from scipy.linalg import cho_factor, cho_solve, toeplitz
from scipy.optimize import brentq
from scipy.special import lambertw
from tqdm.auto import tqdm

from subtr.bold.hrf import HRF_MODELS, VOLUME_FRACTION, DoubleGamma, convolve_hrf
from subtr.datasets.simulated import bold_noise, noise_autocovariance
from subtr.experiments.results import check_writable
from subtr.metrics.inference import held_out_shift_null, jackknife_interval
from subtr.models.stimulus_decoder import BoldDecoder
from subtr.params import SettingsError, Strict, load_params, params_folder, params_hash, whole_file
from subtr.timeline import HRF_DURATION_S, block_splits

# Of the peak time; beyond, the gamma hardly has a peak, or most of it comes after 24 s.
_WIDTHS = (0.1, 1.8)


def response(peak_s: float | int, fwhm_s: float | int) -> DoubleGamma:
    """SPM's response with another peak time and width; its undershoot is stretched with the peak.

    Arguments
        peak_s: seconds to the peak of the first gamma; SPM's is 5.
        fwhm_s: full width of the first gamma at half of its height; SPM's is 5.3.

    Raises
        SettingsError: a width that no gamma of that peak has within the length of a response.
    """
    least_s, most_s = (width * peak_s for width in _WIDTHS)
    if not (peak_s > 0 and least_s <= fwhm_s <= most_s):
        raise SettingsError(
            f"fwhm_s = {fwhm_s:g} with peak_s = {peak_s:g}: expected a positive peak and a width "
            f"from {least_s:g} to {most_s:g} s; a wider response peaks later."
        )

    def excess(log_power):
        # Half height where ln(u) - u + 1 = -ln(2) / (shape - 1), u in units of the peak time.
        at = -math.exp(-1 - math.log(2) / math.exp(log_power))
        return (lambertw(at, 0) - lambertw(at, -1)).real * peak_s - fwhm_s

    power = math.exp(brentq(excess, math.log(0.2), math.log(2000.0)))
    spm = HRF_MODELS["spm"].with_peak(float(peak_s))
    return DoubleGamma(
        power + 1,
        peak_s / power,
        spm.undershoot_shape,
        spm.undershoot_scale_s,
        spm.undershoot_ratio,
    )


def transfer(
    model: DoubleGamma, rates_hz: Float[np.ndarray, " rate"]
) -> Complex128[np.ndarray, " rate"]:
    """The response's gain and phase at each rate; 1 at 0 Hz.

    A gamma density of shape k and scale s passes (1 + 2 pi i rate s)^-k. That `hrf` is cut off
    after 24 s is left out of account; it changes gains by about 0.01.
    """
    turns = 2j * np.pi * np.asarray(rates_hz, np.float64)
    peak = (1 + turns * model.peak_scale_s) ** -model.peak_shape
    under = (1 + turns * model.undershoot_scale_s) ** -model.undershoot_shape
    return (peak - model.undershoot_ratio * under) / (1 - model.undershoot_ratio)


KINDS = ("wave", "power")


class Scan(Strict):
    """A scan and the parcels that respond.

    Arguments
        tr_s: repetition time in seconds.
        snr: variance of a slow drive's response over that of the noise, in one parcel and volume.
            A drive of the same variance that is faster comes out smaller, the noise does not.
        hrf_fwhm_s, hrf_peak_s: width and peak time of the response.
        n_parcels: how many parcels respond, each with its own gain and noise.
        duration_s: seconds of BOLD.
        noise_correlation: share of the noise's variance that all parcels have in common. At 0,
            parcels add up without end, which those of a brain do not.
        envelope_hz: the strength of the modulation fluctuates at all rates up to this, its power
            up to twice as fast.
        gain_spread: deviation of the logarithm of the parcels' gains.
    """

    tr_s: float = Field(default=2.0, gt=0, lt=20)
    snr: float = Field(default=0.1, ge=0)
    hrf_fwhm_s: float = Field(default=5.3, gt=0)
    n_parcels: int = Field(default=16, ge=1)
    duration_s: float = Field(default=900.0, gt=0)
    noise_correlation: float = Field(default=0.1, ge=0, lt=1)
    hrf_peak_s: float = Field(default=5.0, gt=0)
    envelope_hz: float = Field(default=0.05, gt=0)
    gain_spread: float = Field(default=0.3, ge=0)

    @model_validator(mode="after")
    def _has_a_response(self) -> "Scan":
        _ = self.response
        return self

    def __str__(self) -> str:
        """For titles and sentences."""
        return (
            f"TR {self.tr_s:g} s, SNR {self.snr:.2g}, response {self.hrf_fwhm_s:g} s wide, "
            f"{self.n_parcels} parcel{'s' * (self.n_parcels > 1)}, {self.duration_s / 60:g} min"
        )

    @property
    def response(self) -> DoubleGamma:
        """The haemodynamic response of every parcel."""
        return response(self.hrf_peak_s, self.hrf_fwhm_s)

    def having(self, **changes: float | int) -> "Scan":
        """The same scan with some values changed, checked again.

        Raises
            ValidationError: a value out of range, or no such value.
        """
        return Scan(**(self.model_dump() | changes))


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


# Volumes up to this long after a TR tell of it; what comes later is undershoot.
WINDOW_S = 16.0

# Volumes of a held-out TR must not answer to the stimulus that volumes of a training TR answer to.
GAP_S = WINDOW_S + HRF_DURATION_S

_ALPHAS = tuple(10.0**power for power in range(7))


@dataclass(frozen=True)
class Recovery:
    """Held-out correlation, averaged over the parts of the target, and its chance level.

    Arguments
        r: between told and true, each test block standardised.
        floor: the 95th percentile of r when one is moved in time against the other.
    """

    r: float
    floor: float


def recover(recording: Recording, tr_s: float | int, n_folds: int = 3) -> Recovery:
    """Tells the target of held-out blocks from all parcels, 0 to 16 s after each TR.

    Penalties are chosen by blocks within the training TRs; there, and between training and test,
    40 s are left out.

    Raises
        StudyError: a recording too short to be split so.
    """
    n_trs = len(recording.bold) - math.floor(WINDOW_S / tr_s + 1e-9)
    whole = np.zeros(len(recording.bold), np.int64)
    told = np.full((n_trs, recording.target.shape[1]), np.nan)
    splits = block_splits(whole[:n_trs], float(tr_s), n_folds, GAP_S, validation_fraction=0.0)
    for split in splits:
        decoder = BoldDecoder(tr_s, (0.0, WINDOW_S), _ALPHAS, gap_s=GAP_S)
        decoder.fit(recording.bold, recording.target, split.train, whole)
        told[split.test] = decoder.predict(recording.bold, split.test, whole)
    tests = [split.test for split in splits]
    r, chance = held_out_shift_null(told, recording.target[:n_trs], tests, tr_s, GAP_S)
    # A prediction that never moves tells nothing.
    by_shift = np.nan_to_num(chance).mean(axis=1)
    return Recovery(float(np.nan_to_num(r).mean()), float(np.percentile(by_shift, 95)))


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


Axis = Literal["tr_s", "snr", "hrf_fwhm_s", "n_parcels", "duration_s", "noise_correlation"]

AXES = ("tr_s", "snr", "hrf_fwhm_s", "n_parcels", "duration_s", "noise_correlation")

_KEYS = ["varied", *AXES, "kind", "rate_hz"]

COLUMNS = (*_KEYS, "seed", "r", "floor", "expected_r")


class IdentifiabilityParams(Strict):
    """The scan that all is compared with, and what is varied around it.

    Arguments
        scan: the setting in the middle of every map.
        rates_hz: rates of modulation, none below ``scan.envelope_hz``.
        vary: values of one setting at a time, all others as in ``scan``.
        snr_per: "second" keeps snr / tr_s while the TR is varied, for half the TR gives twice the
            volumes but no more signal; "volume" keeps snr.
        seeds: of independent simulations, at least two.
        n_folds: test blocks.
    """

    scan: Scan = Scan()
    rates_hz: tuple[float, ...] = Field(default=(0.05, 0.1, 0.2, 0.5, 2.0, 8.0), min_length=2)
    vary: dict[Axis, tuple[float, ...]] = Field(
        default={
            "tr_s": (1.5, 2.0, 3.0),
            "snr": (0.02, 0.1, 0.5),
            "hrf_fwhm_s": (3.0, 5.3, 8.0),
            "n_parcels": (1, 16, 64),
        }
    )
    snr_per: Literal["second", "volume"] = "second"
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=2)
    n_folds: int = Field(default=2, ge=2)

    @model_validator(mode="after")
    def _possible(self) -> "IdentifiabilityParams":
        if min(self.rates_hz) < self.scan.envelope_hz:
            raise ValueError(
                f"rates_hz: {min(self.rates_hz):g} Hz is slower than scan.envelope_hz = "
                f"{self.scan.envelope_hz:g}; leave it out, or use a slower envelope"
            )
        _ = self.settings
        return self

    @property
    def settings(self) -> list[tuple[str, Scan]]:
        """What is varied, and the scan; first the one in the middle, of which nothing is."""
        found = [("", self.scan)]
        for axis, values in self.vary.items():
            for value in values:
                if value != getattr(self.scan, axis):
                    found.append((axis, self._with(axis, value)))
        return found

    def _with(self, axis: str, value: float | int) -> Scan:
        changes = {axis: value}
        if axis == "tr_s" and self.snr_per == "second":
            changes["snr"] = self.scan.snr * value / self.scan.tr_s
        try:
            return self.scan.having(**changes)
        except ValidationError as error:
            why = "; ".join(problem["msg"] for problem in error.errors())
            raise ValueError(f"vary.{axis} = {value:g}: {why}") from None


def identifiability_params(params: str | Path) -> IdentifiabilityParams:
    """Of a parameter set, from its ``identifiability.yaml``; those of its model if it has none.

    Raises
        SettingsError: no such set, an unknown key or an impossible value.
    """
    file = params_folder(params) / "identifiability.yaml"
    return load_params(IdentifiabilityParams, file) if file.is_file() else IdentifiabilityParams()


def sweep(params: IdentifiabilityParams, folder: Path | str) -> pd.DataFrame:
    """A row for each setting, rate, kind and seed; what ``folder`` has of it is not done again.

    Returns ``COLUMNS``: ``varied`` names the setting that differs from ``params.scan``, "" for the
    one that does not; r and floor as in `Recovery`, expected_r by formula.

    Raises
        StudyError: a scan too short to be split.
        ResultsError: a folder that cannot be written.
    """
    file = check_writable(Path(folder)) / f"identifiability_{params_hash(params)}.csv"
    table = pd.DataFrame(columns=list(COLUMNS))
    if file.is_file():
        table = pd.read_csv(file, keep_default_na=False, float_precision="round_trip")
    n_rows = len(params.rates_hz) * len(KINDS) * len(params.seeds)
    quiet = os.environ.get("SUBTR_PROGRESS") == "lines"
    for number, (varied, scan) in enumerate(
        tqdm(params.settings, desc="settings", disable=quiet, delay=2)
    ):
        if len(table) >= (number + 1) * n_rows:
            continue
        rows = pd.DataFrame(_rows(params, varied, scan), columns=list(COLUMNS))
        table = pd.concat([table, rows], ignore_index=True) if len(table) else rows
        with whole_file(file) as part:
            table.to_csv(part, index=False)
    return table


def _rows(params: IdentifiabilityParams, varied: str, scan: Scan) -> list[dict]:
    rows = []
    setting = {"varied": varied} | {axis: getattr(scan, axis) for axis in AXES}
    for kind in KINDS:
        for rate_hz in params.rates_hz:
            case = setting | {"kind": kind, "rate_hz": rate_hz}
            case["expected_r"] = expected_r(scan, rate_hz, kind)
            for seed in params.seeds:
                found = recover(simulate(scan, rate_hz, kind, seed), scan.tr_s, params.n_folds)
                rows.append(case | {"seed": seed, "r": found.r, "floor": found.floor})
    return rows


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """The seeds' mean of r by Fisher's z, its 95 % interval, and whether it exceeds chance.

    The interval is Student's t over seeds, which are independent simulations. ``recoverable``
    where r is above the mean floor.
    """
    rows = []
    for key, part in table.groupby(_KEYS, sort=False):
        z = np.arctanh(np.clip(part["r"].to_numpy(np.float64), -0.999999, 0.999999))
        without_each = np.array([np.delete(z, seed).mean() for seed in range(len(z))])
        low, high = jackknife_interval(np.array(z.mean()), without_each)
        means = part[["floor", "expected_r"]].mean().to_dict()
        row = dict(zip(_KEYS, key, strict=True)) | means | {"r": np.tanh(z.mean())}
        row |= {"low": np.tanh(low), "high": np.tanh(high), "n_seeds": len(part)}
        rows.append(row | {"recoverable": bool(row["r"] > row["floor"])})
    return pd.DataFrame(rows)


def fastest_rates(summary: pd.DataFrame, kinds: Sequence[str] = KINDS) -> pd.DataFrame:
    """The fastest rate in hertz up to which every simulated rate is recoverable, by setting.

    A row for each value of each varied setting, a column a kind; NaN where not even the slowest is.

    Arguments
        summary: of `over_seeds`.
    """
    found = {}
    for axis in AXES:
        if not (summary["varied"] == axis).any():
            continue
        for value, part in summary[summary["varied"].isin([axis, ""])].groupby(axis):
            of_kind = {}
            for kind in kinds:
                rows = part[part["kind"] == kind].sort_values("rate_hz")
                n = int(rows["recoverable"].cumprod().sum())
                of_kind[kind] = float(rows["rate_hz"].iloc[n - 1]) if n else np.nan
            found[(axis, float(value))] = of_kind
    table = pd.DataFrame.from_dict(found, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index, names=["varied", "value"])
    return table
