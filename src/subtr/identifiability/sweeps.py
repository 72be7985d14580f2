"""Every rate at every setting of the scan, one setting varied at a time, with several seeds."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError, model_validator
from tqdm.auto import tqdm

from subtr.identifiability.recovery import recover
from subtr.identifiability.scan import KINDS, Scan
from subtr.identifiability.simulation import simulate
from subtr.identifiability.wiener import expected_r
from subtr.metrics.inference import jackknife_interval
from subtr.params import Strict, load_params, params_folder, params_hash, whole_file
from subtr.results import check_writable

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
