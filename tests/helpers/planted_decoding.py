"""A study whose sound its BOLD holds, number by number."""

from dataclasses import replace

import numpy as np
import pandas as pd
from planted import after_hrf, low_rank_study

from subtr.models.stimulus_decoder import StimulusCode

N_FLOATS = 4


def answering_study(noise=0.3, seed=0, n_trs=300):
    """Sound of four numbers a TR, and its code; the first two drive region "loud", the others
    "quiet"; a third region is noise.
    """
    rng = np.random.default_rng(seed)
    study = low_rank_study(n_trs)
    shapes = np.linalg.qr(rng.normal(size=(study.mel[0].size, N_FLOATS)))[0].T
    numbers = rng.normal(size=(n_trs, N_FLOATS)) * [4.0, 3.0, 2.5, 2.0]
    mel = (numbers @ shapes).reshape(study.mel.shape).astype(np.float32)
    signal = after_hrf(numbers, study.clock.tr_s)
    mixed = np.concatenate([signal / signal.std(0), np.zeros((n_trs, 2))], axis=1)
    bold = {f"s{i}": mixed + noise * rng.normal(size=mixed.shape) for i in range(3)}
    tuning = ["loud", "loud", "quiet", "quiet", "noise", "noise"]
    parcels = pd.DataFrame({"tuning": tuning}, index=[f"p{i}" for i in range(6)])
    study = replace(study, mel=mel, bold=bold, parcels=parcels)

    def draw(vectors):
        return (vectors @ shapes).reshape(-1, *mel.shape[1:])

    return study, StimulusCode("sound", numbers, mel, np.zeros(mel.shape[2]), draw)
