"""Intervals of ceilings hold the truth; p-values of the controls are uniform under the null."""

import numpy as np
import pytest
from planted import smooth_series, subjects_of
from scipy import stats

from subtr.datasets.simulated_bold import bold_noise, noise_free_bold
from subtr.metrics import (
    cut_segments,
    identify,
    intersubject_correlation,
    intersubject_interval,
    pearson_r,
    permutation_p,
    phase_null,
    shift_null,
    split_half_interval,
    wrong_subject_p,
)
from subtr.metrics.bootstrap import block_indices
from subtr.metrics.ceilings import split_half_ceiling

N_SETS = 200
N_TRS, TR_S = 240, 1.5

pytestmark = pytest.mark.verify


@pytest.mark.parametrize(("n_subjects", "snr"), [(3, 1.0), (4, 1.0), (4, 0.2), (10, 0.2)])
def test_intervals_cover_the_true_ceiling(measured, n_subjects, snr):
    """And how often the plain bootstraps do: over blocks of time, and over subjects."""
    rng = np.random.default_rng(n_subjects)
    inside = {}

    def count(kind, interval, truth):
        low, high = interval
        inside.setdefault(kind, []).append((low <= truth) & (truth <= high))

    for number in range(N_SETS):
        bold, truth, between = subjects_of(N_TRS, n_subjects, 2, snr, rng, TR_S)
        count("split-half, without each subject", split_half_interval(bold), truth)
        count("inter-subject, without each subject", intersubject_interval(bold), between)
        draws = [
            split_half_ceiling(bold[:, trs], n_splits=6, seed=number)
            for trs in block_indices(N_TRS, round(15 / TR_S), 60, number)
        ]
        count("split-half, blocks of time", np.percentile(draws, [2.5, 97.5], axis=0), truth)
        r = intersubject_correlation(bold)
        drawn = r[rng.integers(n_subjects, size=(200, n_subjects))].mean(1)
        ends = np.percentile(drawn, [2.5, 97.5], axis=0)
        count("inter-subject, subjects drawn again", ends, between)
    coverage = {kind: float(np.mean(of)) for kind, of in inside.items()}
    for kind, value in coverage.items():
        row = {"measure": "coverage", "kind": kind, "n_subjects": n_subjects, "snr": snr}
        measured.append(row | {"n_sets": N_SETS, "value": value})
    for kind in ("split-half", "inter-subject"):
        assert 0.90 <= coverage[f"{kind}, without each subject"] <= 0.99, coverage


def prediction_and_bold(rng, n_series, n_trs=N_TRS):
    """Unrelated: a response to one stimulus, and to another with noise as BOLD has it."""
    peaks_s = np.full(n_series, 5.0)
    one, other = (
        noise_free_bold(rng.standard_normal((n_trs, n_series)), TR_S, peaks_s) for _ in "ab"
    )
    return one, other + bold_noise(n_trs, n_series, TR_S, rng)


def note(measured, control, p):
    """Rows: share of p of at most 0.05, and the Kolmogorov-Smirnov test of uniformity."""
    share, ks = float(np.mean(p <= 0.05)), float(stats.kstest(p, "uniform").pvalue)
    for measure, value in (("share of p <= 0.05", share), ("p of uniformity (KS)", ks)):
        row = {"measure": measure, "kind": control, "n_sets": len(p), "value": value}
        measured.append(row)
    return share, ks


def test_p_of_the_controls_is_uniform_under_the_null(measured):
    rng = np.random.default_rng(0)
    n = 1000
    prediction, bold = prediction_and_bold(rng, n)
    blocks = np.array_split(np.arange(N_TRS), 4)
    observed, null = shift_null(prediction, bold, 11, blocks)
    share, ks = note(measured, "circular shift", permutation_p(observed, null))
    assert 0.03 <= share <= 0.07
    assert ks > 0.01
    observed = pearson_r(prediction, bold)
    p = permutation_p(observed, phase_null(prediction, bold, n_draws=99))
    share, ks = note(measured, "phases randomised", p)
    assert 0.03 <= share <= 0.07
    assert ks > 0.01
    shuffled = [pearson_r(prediction[rng.permutation(N_TRS)], bold) for _ in range(99)]
    share, _ = note(
        measured, "TRs shuffled (not exact)", permutation_p(observed, np.array(shuffled))
    )
    # Why TRs are never shuffled by themselves: chance would be called significant.
    assert share > 0.1


def test_p_of_identification_and_of_a_wrong_subject_keep_their_level(measured):
    rng = np.random.default_rng(1)
    told, wrong = [], []
    for _ in range(N_SETS):
        prediction, bold = prediction_and_bold(rng, 6)
        segments = cut_segments([np.arange(N_TRS)], 10)
        found = identify(bold, prediction, segments, 11, n_draws=60)
        told.append(found.p("pairwise"))
        shared = smooth_series(N_TRS, 1, rng)
        bold_of = {f"s{i}": shared + smooth_series(N_TRS, 1, rng) for i in range(6)}
        heads = {s: shared + smooth_series(N_TRS, 1, rng) for s in bold_of}
        wrong.append(wrong_subject_p(heads, bold_of, n_draws=99)[0])
    for control, p in (("identification", told), ("wrong subject", wrong)):
        share, ks = note(measured, control, np.array(p))
        # Of 200 at 0.05, within three standard errors.
        assert share <= 0.096, control
        assert ks > 0.01, control
