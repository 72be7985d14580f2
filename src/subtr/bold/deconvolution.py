"""Activity from BOLD: what went on in each TR, by undoing an assumed haemodynamic response.

A volume tells of the 24 s before it, so the activity of a TR is read from volumes after it. Hence
train, validation and test are deconvolved apart, each stretch of volumes by itself: nothing that
was held out reaches what is learned from.
"""

import functools
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy.linalg import toeplitz
from sklearn.linear_model import LassoLarsIC

from subtr.bold.hrf import hrf, hrf_kernel
from subtr.metrics.bold import parcels_alike
from subtr.params import SettingsError
from subtr.timeline import HRF_DURATION_S, consecutive

# Variance of the noise over that of the activity; of these the likeliest is chosen.
_RATIOS = np.logspace(-3.5, 2.5, 61)


class _Forward(NamedTuple):
    """BOLD = response @ activity, and the eigenvectors and -values of response @ response.T."""

    response: np.ndarray
    vectors: np.ndarray
    values: np.ndarray


class Deconvolution:
    """Estimates the activity in each TR from BOLD of mean 0, parcel by parcel.

    "wiener" gives the expected activity if activity is white and so is the noise. It is the Wiener
    filter written for a stretch that begins and ends, in which the activity before the first volume
    is unknown too: a = H' (H H' + q I)^-1 y, with the response H and the noise-to-signal ratio q.

    "sparse" gives few events: min |y - H a|^2 / 2 + penalty |a|, the penalty by the Bayesian
    information criterion along the path of least angles (scikit-learn's ``LassoLarsIC``).

    Activity is given by TR as the response of `hrf_kernel` takes it, so 1 throughout leads to BOLD
    of 1. Of the last TRs of a stretch, whose response had not peaked by its end, it is NaN.

    Arguments
        tr_s: repetition time in seconds.
        method: "wiener" or "sparse".
        noise_to_signal: q, variance of the noise over that of the activity; None estimates it for
            each parcel by maximum likelihood in `fit`. With "sparse", it says how much of the BOLD
            is noise.
        model: the response, "spm" or "glover".

    Raises
        SettingsError: unknown method or response, or a ratio that is not positive.

    Source: Glover 1999 (Wiener); Caballero Gaudes et al. 2013, Paradigm free mapping with sparse
    regression (sparse; the Lasso without the second fit that undoes its shrinking).
    """

    def __init__(
        self,
        tr_s: float | int,
        method: str = "wiener",
        noise_to_signal: float | int | None = None,
        model: str = "spm",
    ):
        if method not in ("wiener", "sparse"):
            raise SettingsError(f"method = {method!r}: expected 'wiener' or 'sparse'.")
        if noise_to_signal is not None and not noise_to_signal > 0:
            raise SettingsError(f"noise_to_signal = {noise_to_signal!r}: expected more than 0.")
        self.tr_s, self.method, self.model = float(tr_s), method, model
        self.given_ratio = noise_to_signal
        times_s = np.arange(0, HRF_DURATION_S, 0.01)
        peak_s = times_s[hrf(times_s, model).argmax()]
        self.n_unseen_trs = int(np.ceil(peak_s / self.tr_s - 1e-9))

    def fit(
        self,
        bold: Float[np.ndarray, "tr parcel"],
        train: Int[np.ndarray, " train"],
        run_of_tr: Int[np.ndarray, " tr"],
    ) -> "Deconvolution":
        """Learns each parcel's noise from its training volumes; nothing else is learned.

        Sets ``noise_to_signal`` and ``noise_variance`` (parcel,); NaN for a parcel without a
        training stretch of volumes long enough.
        """
        n_parcels = bold.shape[1]
        self.noise_to_signal = np.full(n_parcels, np.nan)
        self.noise_variance = np.full(n_parcels, np.nan)
        ratios = _RATIOS if self.given_ratio is None else np.array([float(self.given_ratio)])
        for parcel in range(n_parcels):
            pieces = self._pieces(bold[:, [parcel]], train, run_of_tr)
            series = [bold[trs, parcel] for trs, _ in pieces]
            if not series or not np.any(np.concatenate(series)):
                continue
            power = [(self._forward(len(y)).vectors.T @ y) ** 2 for y in series]
            values = [self._forward(len(y)).values for y in series]
            power, values = np.concatenate(power), np.concatenate(values)
            spread = values + ratios[:, None]
            activity_variance = (power / spread).mean(axis=1)
            # Minus twice the logarithm of the likelihood, at the best variance for each ratio.
            cost = np.log(spread).sum(axis=1) + len(power) * np.log(activity_variance)
            best = int(cost.argmin())
            self.noise_to_signal[parcel] = ratios[best]
            self.noise_variance[parcel] = ratios[best] * activity_variance[best]
        return self

    def transform(
        self,
        bold: Float[np.ndarray, "tr parcel"],
        parts: Sequence[Int[np.ndarray, " _"]],
        run_of_tr: Int[np.ndarray, " tr"],
    ) -> Float64[np.ndarray, "tr parcel"]:
        """Activity of the TRs of each part, from the volumes of that part and run alone.

        Arguments
            parts: such as ``[split.train, split.validation, split.test]``; without a TR in common.

        Returns
            NaN at TRs of no part, at missing volumes and the TRs before them whose response they
            held, and in stretches too short to tell anything.

        Raises
            SettingsError: two parts share a TR.
        """
        trs = np.concatenate([*parts, np.empty(0, np.int64)])
        if len(np.unique(trs)) < len(trs):
            raise SettingsError(
                "deconvolution: two parts share a TR, and held-out volumes would reach what is "
                "learned from. Give parts of a split, which have none in common."
            )
        activity = np.full(bold.shape, np.nan)
        for part in parts:
            for known, parcels in self._pieces(bold, part, run_of_tr):
                usable = parcels[np.isfinite(self.noise_to_signal[parcels])]
                found = self._estimate(bold[np.ix_(known, usable)].astype(np.float64), usable)
                seen = len(known) - self.n_unseen_trs
                activity[np.ix_(known[:seen], usable)] = found[:seen]
        return activity

    def _pieces(self, bold, part, run_of_tr):
        """Stretches of a part within a run, and which parcels have all their volumes."""
        part = np.sort(part)
        finite = np.isfinite(bold[part])
        for parcels in parcels_alike(finite):
            trs = part[finite[:, parcels[0]]]
            for stretch in consecutive(trs, run_of_tr):
                if len(stretch) >= 3 * self.n_unseen_trs:
                    yield stretch, parcels

    def _estimate(self, series, parcels):
        forward, n_trs = self._forward(len(series)), len(series)
        if self.method == "wiener":
            spread = forward.values[:, None] + self.noise_to_signal[parcels]
            weighed = forward.vectors @ ((forward.vectors.T @ series) / spread)
            return (forward.response.T @ weighed)[-n_trs:]
        columns = [
            _events(forward.response, one, variance, n_trs // 2)[-n_trs:]
            for one, variance in zip(series.T, self.noise_variance[parcels], strict=True)
        ]
        return np.stack(columns, axis=1) if columns else np.empty((n_trs, 0))

    def _forward(self, n_trs: int) -> _Forward:
        return _forward_of(n_trs, self.tr_s, self.model)


@functools.lru_cache(maxsize=32)
def _forward_of(n_trs: int, tr_s: float, model: str) -> _Forward:
    kernel = hrf_kernel(tr_s, model)
    # Columns: the TRs whose activity reaches the first volume, then those of the volumes.
    row = np.zeros(n_trs + len(kernel) - 1)
    row[: len(kernel)] = kernel[::-1]
    response = toeplitz(np.r_[row[0], np.zeros(n_trs - 1)], row)
    values, vectors = np.linalg.eigh(response @ response.T)
    return _Forward(response, vectors, np.maximum(values, 0.0))


def _events(response, series, noise_variance, most):
    with warnings.catch_warnings():  # paths end early where neighbouring TRs look alike
        warnings.simplefilter("ignore")
        path = LassoLarsIC(
            "bic", fit_intercept=False, noise_variance=float(noise_variance), max_iter=most
        )
        return path.fit(response, series).coef_
