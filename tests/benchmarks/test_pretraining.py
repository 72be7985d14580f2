"""Gains are differences of r, seed by seed and group by group."""

import numpy as np
import pytest
from planted import order_study

from benchmarks.pretraining import gains
from subtr.datasets.held_out import held_out_bold
from subtr.metrics.bold import pearson_r, standardise_by_fold


def test_gains_are_differences_of_r():
    study = order_study(n_trs=160, noise=0.5)
    bold = held_out_bold(study, study.splits(2), 0)
    rng = np.random.default_rng(0)
    signal = study.truth["group"]["signal"]

    def predictions(noise):
        return [
            standardise_by_fold(signal + noise * rng.normal(size=signal.shape), bold.tests)
            for _ in range(3)
        ]

    ours, theirs = predictions(0.5), predictions(3.0)
    trs = np.sort(np.concatenate(bold.tests))

    def mean_r(of, chosen):
        return np.mean([pearson_r(one[trs], bold.mean[trs])[chosen].mean() for one in of])

    rows = {
        row["group"]: row
        for row in gains(ours, theirs, bold)
        if row["metric"] == "gain in r, mean of seeds"
    }
    assert set(rows) == {"", "rise", "fall"}
    for group, chosen in (("", [0, 1, 2]), ("rise", [0, 1]), ("fall", [2])):
        wanted = mean_r(ours, chosen) - mean_r(theirs, chosen)
        assert rows[group]["value"] == pytest.approx(wanted)
        assert 0 < rows[group]["low"] < wanted < rows[group]["high"]
