"""Tiny studies in which what can be learned is known."""

import numpy as np
import pandas as pd

from subtr.bold.hrf import hrf_kernel
from subtr.clock import Clock
from subtr.datasets.simulated_bold import noise_free_bold, subject_bold
from subtr.study import Study


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


def low_rank_study(n_trs=160, n_frames=8, n_mels=6, seed=0):
    """Sound of two modulations, strong and weak: any window of it is a sum of four fixed ones."""
    rng = np.random.default_rng(seed)
    frame = np.arange(n_trs * n_frames)[:, None]
    mel = np.full((n_trs * n_frames, n_mels), -4.0)
    # Cycles a TR that do not return to where they were, or all TRs would be alike.
    for cycles, strength in ((np.sqrt(2), 2.0), (np.sqrt(7), 1.0)):
        gain, phase = rng.uniform(0.5, 1, n_mels), rng.uniform(0, 6.28, n_mels)
        mel += strength * gain * np.cos(2 * np.pi * cycles * frame / n_frames + phase)
    clock = Clock(1.5, n_trs, frames_per_tr=n_frames)
    mel = mel.reshape(n_trs, n_frames, n_mels).astype(np.float32)
    return Study("low rank", clock, mel=mel)


def motion_study(n_trs=240, tr_s=2.0, noise=0.2, seed=0, n_pictures=4):
    """Textures, another in each TR, that slide or rest; BOLD follows which, and sound says nothing.

    Parcels 0 and 1 respond to motion, parcel 2 to rest.
    """
    rng = np.random.default_rng(seed)
    slides = rng.choice([0, 1], n_trs)
    textures = rng.choice([40, 215], (n_trs, 10, 12)) + rng.integers(-30, 31, (n_trs, 1, 1))
    moved = [
        [np.roll(texture, slide * step, axis=1) for step in range(n_pictures)]
        for texture, slide in zip(textures, slides, strict=True)
    ]
    pictures = np.repeat(np.asarray(moved)[..., None], 3, axis=-1).astype(np.uint8)
    signal = after_hrf((slides - 0.5)[:, None] * np.array([[1.0, 2.0, -1.0]]), tr_s)
    signal /= signal.std(0)
    bold = {f"s{index + 1}": signal + noise * rng.normal(size=signal.shape) for index in range(2)}
    parcels = pd.DataFrame({"tuning": ["motion", "motion", "rest"]}, index=["A", "B", "C"])
    return Study(
        "motion",
        Clock(tr_s, n_trs, frames_per_tr=8),
        mel=rng.normal(size=(n_trs, 8, 4)).astype(np.float32),
        pictures=pictures,
        bold=bold,
        parcels=parcels,
        truth={"group": {"signal": signal}},
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
