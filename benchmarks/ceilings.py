"""Do intervals of ceilings hold the truth, and are p-values of the controls uniform under the null?

Data: simulated BOLD of known ceilings. About 15 minutes on two cores. Expected: coverage of 0.90 to
0.99 without each subject, far less by plain bootstraps; 0.03 to 0.07 of p at most 0.05, but for TRs
that are shuffled by themselves, which is why they never are.
"""

from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.planted import smooth_series, subjects_of
from benchmarks.tables import Row
from subtr.datasets.simulated import bold_noise, noise_free_bold
from subtr.metrics.bold import intersubject_correlation, pearson_r, split_half_ceiling
from subtr.metrics.identification import cut_segments, identify
from subtr.metrics.inference import (
    block_indices,
    intersubject_interval,
    permutation_p,
    phase_null,
    shift_null,
    split_half_interval,
    wrong_subject_p,
)

N_SETS = 200
N_TRS, TR_S = 240, 1.5
STUDIES = ((3, 1.0), (4, 1.0), (4, 0.2), (10, 0.2))


def run(folder: Path, studies=STUDIES, n_sets=N_SETS) -> list[Row]:
    """Rows: coverage of each interval, by subjects and SNR; and p-values of each control."""
    rows = []
    for n_subjects, snr in studies:
        rows += coverage_rows(n_subjects, snr, n_sets)
    return rows + null_rows() + level_rows(n_sets)


def coverage_rows(n_subjects, snr, n_sets) -> list[Row]:
    """How often they cover; and how often plain bootstraps do, over blocks of time and subjects."""
    rng = np.random.default_rng(n_subjects)
    inside = {}

    def count(kind, interval, truth):
        low, high = interval
        inside.setdefault(kind, []).append((low <= truth) & (truth <= high))

    for number in range(n_sets):
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
    of = {"measure": "coverage", "n_subjects": n_subjects, "snr": snr, "n_sets": n_sets}
    return [of | {"kind": kind, "value": value} for kind, value in coverage.items()]


def prediction_and_bold(rng, n_series, n_trs=N_TRS):
    """Unrelated: a response to one stimulus, and to another with noise as BOLD has it."""
    peaks_s = np.full(n_series, 5.0)
    one, other = (
        noise_free_bold(rng.standard_normal((n_trs, n_series)), TR_S, peaks_s) for _ in "ab"
    )
    return one, other + bold_noise(n_trs, n_series, TR_S, rng)


def rows_of(control, p) -> list[Row]:
    """Share of p of at most 0.05, and the Kolmogorov-Smirnov test of uniformity."""
    share, ks = float(np.mean(p <= 0.05)), float(stats.kstest(p, "uniform").pvalue)
    measures = {"share of p <= 0.05": share, "p of uniformity (KS)": ks}
    of = {"kind": control, "n_sets": len(p)}
    return [{"measure": measure} | of | {"value": value} for measure, value in measures.items()]


def null_rows(n=1000) -> list[Row]:
    """p of a prediction that has nothing to do with the BOLD."""
    rng = np.random.default_rng(0)
    prediction, bold = prediction_and_bold(rng, n)
    blocks = np.array_split(np.arange(N_TRS), 4)
    observed, null = shift_null(prediction, bold, 11, blocks)
    rows = rows_of("circular shift", permutation_p(observed, null))
    observed = pearson_r(prediction, bold)
    p = permutation_p(observed, phase_null(prediction, bold, n_draws=99))
    rows += rows_of("phases randomised", p)
    shuffled = [pearson_r(prediction[rng.permutation(N_TRS)], bold) for _ in range(99)]
    p = permutation_p(observed, np.array(shuffled))
    return rows + rows_of("TRs shuffled (not exact)", p)


def level_rows(n_sets) -> list[Row]:
    """p of identification and of a wrong subject where there is nothing to find."""
    rng = np.random.default_rng(1)
    told, wrong = [], []
    for _ in range(n_sets):
        prediction, bold = prediction_and_bold(rng, 6)
        segments = cut_segments([np.arange(N_TRS)], 10)
        found = identify(bold, prediction, segments, 11, n_draws=60)
        told.append(found.p("pairwise"))
        shared = smooth_series(N_TRS, 1, rng)
        bold_of = {f"s{i}": shared + smooth_series(N_TRS, 1, rng) for i in range(6)}
        heads = {s: shared + smooth_series(N_TRS, 1, rng) for s in bold_of}
        wrong.append(wrong_subject_p(heads, bold_of, n_draws=99)[0])
    return rows_of("identification", np.array(told)) + rows_of("wrong subject", np.array(wrong))
