import numpy as np
import pytest
from planted import smooth_series
from scipy import stats
from scipy.spatial.distance import pdist, squareform

from subtr.metrics.identification import (
    comparable_pairs,
    cut_segments,
    dissimilarities,
    pattern_correlation,
    representational_interval,
    representational_similarity,
    segment_patterns,
)
from subtr.params import SettingsError


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
