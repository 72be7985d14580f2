"""Studies and series in which what is to be found was planted, and how well any estimate can do."""

from dataclasses import replace

import numpy as np
import pandas as pd

from subtr.bold.hrf import HRF_MODELS, hrf_kernel
from subtr.datasets.simulated import noise_free_bold, subject_bold
from subtr.datasets.study import Study
from subtr.timeline import Clock

PEAKS_S = (4.0, 5.0, 6.0, 7.0)


def after_hrf(activity, tr_s):
    """BOLD (TR, parcel) of activity (TR, parcel), by a plain convolution."""
    kernel = hrf_kernel(tr_s)
    columns = [np.convolve(column, kernel)[: len(activity)] for column in activity.T]
    return np.stack(columns, axis=1)


def order_study(n_trs=260, tr_s=2.0, noise=0.2, n_subjects=2, seed=0, n_runs=1):
    """Sound that rises or falls within each TR; BOLD follows which, and the level says nothing.

    Averaging over the TR is left with noise. Parcels 0 and 1 respond to rises, parcel 2 to falls.
    """
    rng = np.random.default_rng(seed)
    rises = rng.choice([-1.0, 1.0], n_trs)
    ramp = np.linspace(-1, 1, 8)[:, None] * np.array([1.0, 0.5, 0.0, 0.0])
    mel = rises[:, None, None] * ramp + 0.1 * rng.normal(size=(n_trs, 8, 4))
    # The ramps themselves have mean 0; so has the noise of each TR, or its mean would tell it.
    mel -= mel.mean(1, keepdims=True)
    mel += rng.normal(size=(n_trs, 1, 4))
    signal = after_hrf(rises[:, None] * np.array([[1.0, 2.0, -1.0]]), tr_s)
    signal /= signal.std(0)
    bold = {
        f"s{index + 1}": signal + noise * rng.normal(size=signal.shape)
        for index in range(n_subjects)
    }
    parcels = pd.DataFrame({"tuning": ["rise", "rise", "fall"]}, index=["A", "B", "C"])
    return Study(
        "planted",
        Clock(tr_s, n_trs, frames_per_tr=8),
        mel=mel.astype(np.float32),
        bold=bold,
        parcels=parcels,
        truth={"group": {"signal": signal}},
        run_of_tr=(np.arange(n_trs) * n_runs // n_trs).astype(np.int64),
    )


def subjects_of(n_trs, n_subjects, n_parcels, snr, rng, tr_s=1.5):
    """BOLD (subject, TR, parcel) of one signal, noise as in the simulated study; true ceilings.

    Those are of the mean of z-scored subjects, and of one subject against the mean of the others.
    """
    peaks_s = rng.uniform(4.5, 6.5, n_parcels)
    signal = noise_free_bold(rng.standard_normal((n_trs, n_parcels)), tr_s, peaks_s)
    bold = np.stack([subject_bold(signal, tr_s, snr, rng)[0] for _ in range(n_subjects)])

    def reliability(n):
        return snr * n / (1 + snr * n)

    between = np.sqrt(reliability(1) * reliability(n_subjects - 1))
    return bold, np.sqrt(reliability(n_subjects)), between


def smooth_series(n_trs, n_series, rng, width=5):
    """Series that resemble their past, as BOLD does: white noise under a moving Hann window."""
    white = rng.normal(size=(n_trs + 4 * width, n_series))
    window = np.hanning(2 * width + 1)
    return np.stack([np.convolve(of, window, "same") for of in white.T], 1)[2 * width : -2 * width]


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
