"""What notebooks play of a study, and what they do where there is nothing to play."""

import numpy as np
import pandas as pd

from subtr.datasets.study import Study
from subtr.experiments.experiment import Experiment
from subtr.timeline import Clock
from subtr.viewing.notebook import reconstructed


def test_of_bold_with_annotations_alone_there_is_nothing_to_play(monkeypatch):
    bold = {"s1": np.random.default_rng(0).normal(size=(40, 2))}
    parcels = pd.DataFrame({"tuning": ["hearing", "seeing"]}, index=["A1", "V1"])
    experiment = object.__new__(Experiment)
    study = Study("annotated", Clock(1.5, 40), bold=bold, parcels=parcels)
    object.__setattr__(experiment, "study", study)
    monkeypatch.setattr(Experiment, "reconstruction_trs", np.arange(8))
    monkeypatch.setattr(Experiment, "reconstructions", lambda *_: {})
    assert reconstructed(experiment, 0, ["tier1"]) is None
