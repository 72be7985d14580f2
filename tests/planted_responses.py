"""Parcels of known peak times, and how well any estimate can do on them."""

from dataclasses import replace

import numpy as np
import pandas as pd
from planted import order_study

from subtr.bold.hrf import HRF_MODELS, hrf_kernel

PEAKS_S = (4.0, 5.0, 6.0, 7.0)


def respond(activity, peaks_s, tr_s, snr, rng):
    """BOLD (TR, parcel) of one activity, z-scored, with white noise of variance 1 / snr."""
    bold = []
    for peak_s in peaks_s:
        kernel = hrf_kernel(tr_s, HRF_MODELS["spm"].with_peak(peak_s))
        bold.append(np.convolve(activity, kernel)[: len(activity)])
    bold = np.stack(bold, axis=1)
    bold = (bold - bold.mean(0)) / bold.std(0)
    return bold + rng.normal(size=bold.shape) / np.sqrt(snr)


def lowest_error_s(peak_s, tr_s, snr, n_trs):
    """Cramer-Rao bound of a peak time from white activity, width, dip and gain unknown too."""
    spm = HRF_MODELS["spm"]

    def kernel(peak_s, width, dip):
        mode_s, deviation_s = peak_s, width
        scale_s = (np.sqrt(mode_s**2 + 4 * deviation_s**2) - mode_s) / 2
        later_s, wider_s = 3 * peak_s, width * np.sqrt(16 / 6)
        further_s = (np.sqrt(later_s**2 + 4 * wider_s**2) - later_s) / 2
        shape = replace(
            spm,
            peak_shape=mode_s / scale_s + 1,
            peak_scale_s=scale_s,
            undershoot_shape=later_s / further_s + 1,
            undershoot_scale_s=further_s,
            undershoot_ratio=dip,
        )
        return hrf_kernel(tr_s, shape)

    at = np.array([peak_s, np.sqrt(6) * peak_s / 5, 1 / 6])
    centre, step = kernel(*at), 1e-3
    slopes = [(kernel(*(at + step * e)) - kernel(*(at - step * e))) / 2 / step for e in np.eye(3)]
    slopes = np.stack([*slopes, centre])
    # White activity of variance 1 gives BOLD of the kernel's power; SNR scales the noise to it.
    information = n_trs * snr / (centre @ centre) * slopes @ slopes.T
    return float(np.sqrt(np.linalg.inv(information)[0, 0]))


def responding_study(peaks_s, n_trs=600, tr_s=1.5, snr=1.0, seed=0):
    """`order_study`, a parcel for each peak time, one subject."""
    study = order_study(n_trs, tr_s, seed=seed, n_subjects=1)
    rises = np.random.default_rng(seed).choice([-1.0, 1.0], n_trs)
    bold = respond(rises, peaks_s, tr_s, snr, np.random.default_rng([seed, 1]))
    names = [f"{peak_s:g} s, {number}" for number, peak_s in enumerate(peaks_s)]
    parcels = pd.DataFrame({"tuning": [f"{peak_s:g} s" for peak_s in peaks_s]}, index=names)
    return replace(study, bold={"s1": bold}, parcels=parcels, truth={})
