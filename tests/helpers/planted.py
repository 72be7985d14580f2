"""Tiny studies in which what can be learned is known."""

import numpy as np
import pandas as pd

from benchmarks.planted import after_hrf, order_study, smooth_series, subjects_of
from subtr.datasets.study import Study
from subtr.timeline import Clock

__all__ = ["after_hrf", "order_study", "smooth_series", "subjects_of"]


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
