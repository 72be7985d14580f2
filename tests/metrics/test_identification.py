"""Segments told apart, and patterns across parcels."""

import numpy as np
import pytest
from planted import smooth_series
from scipy import stats
from scipy.spatial.distance import pdist, squareform

from subtr.metrics.identification import (
    comparable_pairs,
    cut_segments,
    dissimilarities,
    identify,
    pattern_correlation,
    representational_interval,
    representational_similarity,
    segment_patterns,
)
from subtr.params import SettingsError


def planted(rng, n_trs=240, noise=1.0, n_parcels=6, segment_trs=6):
    signal = smooth_series(n_trs, n_parcels, rng)
    signal /= signal.std(0)
    measured = signal + noise * rng.normal(size=signal.shape)
    return measured, signal, cut_segments([np.arange(n_trs)], segment_trs)


def by_hand(measured, predicted, segments, overlap, runs):
    """Segment by segment, with numpy's correlation of flattened patterns."""
    top1, pairwise = [], []
    for own in segments:
        far = [
            s for s in segments
            if runs[s[0]] != runs[own[0]] or abs(s[0] - own[0]) >= len(own) + overlap
        ]  # fmt: skip
        pattern = measured[own].ravel()
        mine = np.corrcoef(pattern, predicted[own].ravel())[0, 1]
        theirs = np.array([np.corrcoef(pattern, predicted[s].ravel())[0, 1] for s in far])
        top1.append(float((theirs < mine).all()))
        pairwise.append((theirs < mine).mean())
    return top1, pairwise


def test_it_equals_matching_segment_by_segment():
    measured, predicted, segments = planted(np.random.default_rng(0), noise=2.0)
    runs = np.repeat([0, 1], [90, 150])
    found = identify(measured, predicted, segments, 8, runs)
    top1, pairwise = by_hand(measured, predicted, segments, 8, runs)
    np.testing.assert_allclose(found.top1, top1)
    np.testing.assert_allclose(found.pairwise, pairwise)
    assert 0.5 < found.value("pairwise") < 1


def test_what_is_predicted_is_identified_and_noise_is_not():
    rng = np.random.default_rng(1)
    measured, predicted, segments = planted(rng, noise=0.5)
    found = identify(measured, predicted, segments, 8)
    assert found.value("top1") > 0.9
    assert found.p("top1") < 0.02
    low, high = found.interval("pairwise")
    assert found.floor("pairwise") < low <= found.value("pairwise") <= high
    assert identify(measured, measured, segments, 8).value("top1") == 1.0
    noise = identify(measured, smooth_series(240, 6, rng), segments, 8)
    assert noise.p("top1") > 0.05
    assert noise.value("pairwise") < 0.65


def test_a_constant_prediction_is_at_chance_exactly():
    measured, predicted, segments = planted(np.random.default_rng(2))
    found = identify(measured, np.full_like(predicted, 3.0), segments, 8)
    np.testing.assert_allclose(found.pairwise, 0.5)
    np.testing.assert_allclose(found.top1, found.chance_top1)
    assert found.p("pairwise") == 1.0
    assert found.value("top1") == found.chance("top1") == found.floor("top1")


def test_neighbours_within_the_response_are_no_distractors():
    measured, predicted, segments = planted(np.random.default_rng(3))
    n = len(segments)
    for overlap, near in ((0, 0), (6, 1), (7, 2)):
        found = identify(measured, predicted, segments, overlap)
        middle = n // 2
        assert found.chance_top1[middle] == pytest.approx(1 / (n - 2 * near))
    with pytest.raises(SettingsError, match="no other that is so far away"):
        identify(measured, predicted, segments, 200)
    with pytest.raises(SettingsError, match="use shorter segments"):
        cut_segments([np.arange(10), np.arange(20, 29)], 10)


def test_missing_values_say_nothing():
    measured, predicted, segments = planted(np.random.default_rng(4), noise=0.5)
    measured[:, 5] = np.nan
    predicted[:30, 4] = np.nan
    found = identify(measured, predicted, segments, 8)
    assert np.isfinite(found.pairwise).all()
    assert found.value("top1") > 0.8


def test_segments_come_from_one_stretch_each():
    segments = cut_segments([np.arange(3, 20), np.arange(30, 35)], 5)
    assert segments.tolist() == [
        [3, 4, 5, 6, 7], [8, 9, 10, 11, 12], [13, 14, 15, 16, 17], [30, 31, 32, 33, 34]
    ]  # fmt: skip


def test_p_is_uniform_where_prediction_and_measurement_are_unrelated():
    rng = np.random.default_rng(5)
    p = []
    for _ in range(150):
        measured, _, segments = planted(rng, n_trs=180, noise=0.3, n_parcels=4)
        p.append(identify(measured, smooth_series(180, 4, rng), segments, 8).p("pairwise"))
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) <= 0.05) <= 0.11


def test_dissimilarity_is_scipys_and_its_rank_correlation_too():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20, 5))
    one, other = dissimilarities(a), dissimilarities(a + b)
    np.testing.assert_allclose(one, squareform(pdist(a, "correlation")), atol=1e-12)
    pairs = np.triu_indices(20, 1)
    want = stats.spearmanr(one[pairs], other[pairs]).statistic
    assert representational_similarity(one, other, pairs) == pytest.approx(want)
    assert representational_similarity(one, one, pairs) == pytest.approx(1)


def test_pattern_correlation_is_over_parcels_at_each_tr():
    rng = np.random.default_rng(1)
    prediction, bold = rng.normal(size=(2, 12, 6))
    bold[3, :4] = np.nan
    found = pattern_correlation(prediction, bold)
    assert found[5] == pytest.approx(np.corrcoef(prediction[5], bold[5])[0, 1])
    assert np.isnan(found[3])  # two parcels are left


def test_pairs_of_neighbours_are_left_out_except_across_runs():
    segments = cut_segments([np.arange(40)], 5)
    i, j = comparable_pairs(segments, 8)
    assert (np.abs(segments[i, 0] - segments[j, 0]) >= 13).all()
    runs = np.repeat([0, 1], 20)
    across = set(zip(*(of.tolist() for of in comparable_pairs(segments, 8, runs)), strict=True))
    assert (3, 4) in across
    assert (2, 3) not in across


def test_smoothness_alone_makes_no_similarity_once_neighbours_are_left_out():
    rng = np.random.default_rng(2)
    segments = cut_segments([np.arange(300)], 1)
    everything, far = np.triu_indices(300, 1), comparable_pairs(segments, 12)
    with_all, without = [], []
    for _ in range(10):
        a, b = (dissimilarities(smooth_series(300, 8, rng)) for _ in "ab")
        with_all.append(representational_similarity(a, b, everything))
        without.append(representational_similarity(a, b, far))
    assert np.mean(with_all) > 0.03
    assert abs(np.mean(without)) < 0.02


def test_shared_geometry_is_found_with_an_interval_above_0():
    rng = np.random.default_rng(3)
    signal = smooth_series(300, 8, rng)
    signal /= signal.std(0)
    segments = cut_segments([np.arange(300)], 6)
    # Another brain: the same geometry in other axes, and noise.
    turn, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    patterns = [signal, signal @ turn + 0.3 * rng.normal(size=signal.shape)]
    pairs = comparable_pairs(segments, 10)
    a, b = (dissimilarities(segment_patterns(of, segments)) for of in patterns)
    value = representational_similarity(a, b, pairs)
    low, high = representational_interval(a, b, pairs)
    assert 0.1 < low < value < high
    with pytest.raises(SettingsError, match="at least 3"):
        dissimilarities(signal[:, :2])
