"""Cleaning of BOLD: drift, nuisance, standardisation and masked volumes."""

import warnings
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float64, Int64

from subtr.metrics.bold import known_deviation, known_mean, parcels_alike
from subtr.params import SettingsError, StudyError, StudyWarning


class Cleaner:
    """Regresses drift and confounds out of BOLD, then brings parcels to mean 0, variance 1.

    Weights, means and deviations come from the volumes given to ``fit`` alone. Drift is a
    polynomial in time, which reaches over held-out volumes by extrapolation, not by their values;
    so keep its order low.

    Arguments
        tr_s: repetition time in seconds.
        drift_order: order of the Legendre polynomials; 0 removes the mean alone.
        confounds: (TR, confound) such as six motion parameters, or None.
    """

    def __init__(
        self,
        tr_s: float,
        drift_order: int = 2,
        confounds: Float[np.ndarray, "tr confound"] | None = None,
    ):
        if not 0 <= drift_order <= 10:
            raise SettingsError(f"drift_order = {drift_order!r}: expected 0 to 10.")
        self.tr_s, self.drift_order, self.confounds = tr_s, drift_order, confounds

    def fit(
        self, bold: Float[np.ndarray, "tr parcel"], train: Int64[np.ndarray, " train"]
    ) -> "Cleaner":
        """Learns from ``bold[train]``; missing values are left out, parcel by parcel.

        Raises
            StudyError: confounds of another length than the BOLD.
        """
        design = self._design(len(bold))
        self._center = design[train].mean(axis=0)
        self._scale = design[train].std(axis=0)
        self._scale[self._scale < 1e-12] = 1.0
        design = self._scaled(design)[train]
        n_parcels = bold.shape[1]
        self.weights = np.full((design.shape[1], n_parcels), np.nan)
        self.deviation = np.full(n_parcels, np.nan)
        known = np.isfinite(bold[train])
        for parcels in parcels_alike(known):
            here = known[:, parcels[0]]
            if here.sum() > design.shape[1]:
                values = bold[np.ix_(train[here], parcels)].astype(np.float64)
                weights = np.linalg.lstsq(design[here], values, rcond=None)[0]
                self.weights[:, parcels] = weights
                deviation = (values - design[here] @ weights).std(axis=0)
                self.deviation[parcels] = np.where(deviation > 0, deviation, np.nan)
        return self

    def transform(self, bold: Float[np.ndarray, "tr parcel"]) -> Float64[np.ndarray, "tr parcel"]:
        """All volumes, cleaned and scaled by what was learned; NaN stays NaN."""
        return (bold - self._scaled(self._design(len(bold))) @ self.weights) / self.deviation

    @property
    def usable(self) -> Bool[np.ndarray, " parcel"]:
        """Which parcels vary in the training volumes."""
        return np.isfinite(self.deviation)

    def _design(self, n_trs: int) -> np.ndarray:
        drift = np.polynomial.legendre.legvander(np.linspace(-1, 1, n_trs), self.drift_order)
        if self.confounds is None:
            return drift
        if len(self.confounds) != n_trs:
            raise StudyError(
                f"confounds have {len(self.confounds)} TRs ({len(self.confounds) * self.tr_s:g} "
                f"s), BOLD {n_trs} ({n_trs * self.tr_s:g} s): give one row per volume."
            )
        return np.concatenate([drift, self.confounds], axis=1)

    def _scaled(self, design: np.ndarray) -> np.ndarray:
        scaled = (design - self._center) / self._scale
        scaled[:, 0] = 1.0
        return scaled


# Two volumes may be alike by rounding; so many in a row, up to the end of a run, are filled in.
LEAST_HELD_TRS = 5


def masked_bold(
    study: str,
    bold_of: Mapping[str, Float[np.ndarray, "tr parcel"]],
    parcels: pd.DataFrame,
    run_of_tr: Int64[np.ndarray, " tr"],
    notes: tuple[str, ...] = (),
) -> tuple[dict[str, Float[np.ndarray, "tr parcel"]], tuple[str, ...]]:
    """BOLD with NaN where it says nothing; and notes, those given and what was masked or left out.

    Masked are, volume by volume, what is not finite, and what repeats the volume before it up to
    the end of a run (see `held_at_the_end`); and parcels without any variation. A subject of whom
    nothing remains is left out. Each becomes a ``StudyWarning`` and a note, unless it is one.

    Volumes that none of several subjects has, such as discarded ones, are a note alone.

    BOLD without a flaw is given back as it is, so that what lies on disk stays there.

    Raises
        StudyError: nothing remains of any subject.
    """
    kept, known = {}, list(notes)
    unrecorded = np.zeros(len(run_of_tr), dtype=bool)
    if len(bold_of) > 1:
        unrecorded = _unrecorded(bold_of.values(), len(run_of_tr))
    if unrecorded.any():
        note = f"{study}: no BOLD at TRs {spans(np.flatnonzero(unrecorded))}."
        known += [] if note in known else [note]
    for subject, bold in bold_of.items():
        unusable = ~np.isfinite(bold)
        held = held_at_the_end(bold, run_of_tr) & ~unusable
        constant = _constant(bold, unusable | held)
        missing = unusable & ~constant & ~unrecorded[:, None]
        found = _flaws(missing, held & ~constant, constant, parcels, run_of_tr)
        if constant.all():
            found = [("has no usable volume in any parcel", "left out of the study")]
        for flaw, remedy in found:
            message = f"{study}: BOLD of {subject} {flaw}: {remedy}."
            if message not in known:
                known.append(message)
                warnings.warn(message, StudyWarning, stacklevel=4)
        if constant.all():
            continue
        flawed = unusable | held | constant
        kept[subject] = np.where(flawed, np.nan, bold).astype(bold.dtype) if found else bold
    if bold_of and not kept:
        raise StudyError(
            f"{study}: BOLD of all {len(bold_of)} subjects is constant or missing in every parcel. "
            "Check that the files hold series (TR, parcel), and not zeros of an empty mask."
        )
    return kept, tuple(known)


def held_at_the_end(
    bold: Float[np.ndarray, "tr parcel"], run_of_tr: Int64[np.ndarray, " tr"]
) -> Bool[np.ndarray, "tr parcel"]:
    """Volumes that only repeat the one before, to the end of their run, ``LEAST_HELD_TRS`` or more.

    A scan that was cut short is often filled up so to the length of the others.
    """
    held = np.zeros(bold.shape, dtype=bool)
    for run in np.unique(run_of_tr):
        (trs,) = np.nonzero(run_of_tr == run)
        of_run = bold[trs]
        alike = of_run[1:] == of_run[:-1]
        # From the end backwards until the first change.
        tail = np.logical_and.accumulate(alike[::-1], axis=0)[::-1]
        enough = tail.sum(axis=0) >= LEAST_HELD_TRS
        held[trs[1:]] = tail & enough
    return held


def spans(trs: Int64[np.ndarray, " _"]) -> str:
    """TRs as a reader would say them: "3 to 5, 9"."""
    parts = np.split(trs, np.flatnonzero(np.diff(trs) != 1) + 1)
    said = [f"{part[0]} to {part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts[:6]]
    return ", ".join(said) + (", ..." if len(parts) > 6 else "")


def _unrecorded(bold_of: Iterable[np.ndarray], n_trs: int) -> np.ndarray:
    """TRs at which no subject has anything; the first subject without such ends the search."""
    nobody = np.ones(n_trs, dtype=bool)
    for bold in bold_of:
        (left,) = np.nonzero(nobody)
        if not len(left):
            break
        nobody[left] = ~np.isfinite(bold[left]).any(axis=1)
    return np.zeros_like(nobody) if nobody.all() else nobody


def _constant(bold: np.ndarray, masked: np.ndarray) -> np.ndarray:
    """Parcels whose usable volumes do not vary, or that have none."""
    usable = np.where(masked, np.nan, bold)
    spread, level = known_deviation(usable, axis=0), known_mean(np.abs(usable), axis=0)
    return ~(spread > 1e-6 * level)


def _flaws(unusable, held, constant, parcels, run_of_tr) -> list[tuple[str, str]]:
    """What is wrong, and what is done about it."""
    n_parcels, found = len(constant), []
    remedy = "masked by NaN, left out of training and scores"

    def of(which: np.ndarray) -> str:
        names = list(map(str, parcels.index[which]))
        more = ", ..." if len(names) > 12 else ""
        return f"{which.sum()} of {n_parcels} parcels ({', '.join(names[:12])}{more})"

    if unusable.any():
        trs = np.flatnonzero(unusable.any(axis=1))
        which = unusable.any(axis=0)
        found.append((f"has missing (NaN) volumes in {of(which)}, TRs {spans(trs)}", remedy))
    if held.any():
        trs, which = np.flatnonzero(held.any(axis=1)), held.any(axis=0)
        runs = ", ".join(map(str, np.unique(run_of_tr[trs])))
        flaw = f"stays at its last value at the end of run {runs}, TRs {spans(trs)}, in {of(which)}"
        found.append((flaw, remedy))
    if constant.any():
        found.append((f"has no variation in {of(constant)}", remedy))
    return found
