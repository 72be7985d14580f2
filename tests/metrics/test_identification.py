import numpy as np
import pytest
from planted import smooth_series
from scipy import stats

from subtr.metrics.identification import cut_segments, identify
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
