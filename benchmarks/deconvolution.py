"""When does deconvolution help, and when does it hurt, beside BOLD that is merely shifted?

Data: simulated activity, as events and smooth, behind responses of known peak times. About 2
minutes on two cores. Expected: it helps where there are events, little noise and the right
response; it hurts where the assumed response gets the seconds of events wrong, and where activity
is slow, which the response hardly blurs, but taken for white.
"""

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from benchmarks.tables import Row
from subtr.bold.deconvolution import Deconvolution
from subtr.bold.hrf import HRF_MODELS, hrf_kernel, lag_kernel
from subtr.metrics.bold import pearson_r

TR_S, N_TRS, BEFORE, N_PARCELS = 1.5, 240, 40, 3
SEEDS = (0, 1, 2)
SNRS = (0.1, 0.5, 2.0, 10.0)
# The response assumed peaks at 5 s, and so does the shift.
PEAKS_S = (4.0, 5.0, 7.0)
ACTIVITY = ("events", "smooth")


def run(folder: Path, seeds=SEEDS, snrs=SNRS) -> list[Row]:
    """A row a parcel: r of an estimate with the activity; an estimate without events has 0."""
    rows = []
    for kind in ACTIVITY:
        for peak_s in PEAKS_S:
            for snr in snrs:
                for seed in seeds:
                    rng = np.random.default_rng([seed, 7])
                    activity = activity_of(kind, rng)
                    bold = bold_of(activity, peak_s, snr, rng)
                    for method, found in estimates(bold):
                        r = np.nan_to_num(pearson_r(found, activity[BEFORE:]))
                        row = {"activity": kind, "peak_s": peak_s, "snr": snr, "seed": seed}
                        row |= {"assumed_peak_s": 5.0, "method": method}
                        rows += [row | {"parcel": n, "r": value} for n, value in enumerate(r)]
    return rows


def activity_of(kind, rng):
    shape = (N_TRS + BEFORE, N_PARCELS)
    if kind == "events":  # one in 25 s, each of another size
        return (rng.random(shape) < TR_S / 25) * rng.lognormal(0, 0.3, shape)
    return gaussian_filter1d(rng.normal(size=shape), 4.0 / TR_S, axis=0)


def bold_of(activity, peak_s, snr, rng):
    kernel = hrf_kernel(TR_S, HRF_MODELS["spm"].with_peak(peak_s))
    bold = np.stack([np.convolve(of, kernel)[BEFORE : len(of)] for of in activity.T], axis=1)
    bold = (bold - bold.mean(0)) / bold.std(0)
    noisy = bold + rng.normal(size=bold.shape) / np.sqrt(snr)
    return noisy - noisy.mean(0)


def shifted(bold):
    """The baseline: BOLD of 5 s later, in the activity's place."""
    weights = lag_kernel(5.0, TR_S)
    out = np.full(bold.shape, np.nan)
    n = len(bold) - len(weights) + 1
    out[:n] = sum(weight * bold[lag : lag + n] for lag, weight in enumerate(weights))
    return out


def estimates(bold):
    trs, run = np.arange(N_TRS), np.zeros(N_TRS, np.int64)
    yield "shift by 5 s", shifted(bold)
    for method in ("wiener", "sparse"):
        how = Deconvolution(TR_S, method).fit(bold, trs, run)
        yield method, how.transform(bold, [trs], run)
