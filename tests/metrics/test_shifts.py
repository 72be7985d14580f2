import numpy as np
import pytest
from planted import smooth_series
from scipy import stats

from subtr.metrics.bold import pearson_r, scored_on, standardise_by_fold
from subtr.metrics.inference import held_out_shift_null, permutation_p, shift_null, shifted_r
from subtr.params import SettingsError

BLOCKS = [np.arange(0, 40), np.arange(40, 90), np.arange(90, 121)]


def test_every_shift_equals_rolling_standardising_and_correlating():
    rng = np.random.default_rng(0)
    prediction, bold = smooth_series(121, 3, rng), smooth_series(121, 3, rng) + 100
    found = shifted_r(prediction, bold, BLOCKS)
    measured = standardise_by_fold(bold, BLOCKS)
    for shift in (0, 1, 17, 120):
        moved = standardise_by_fold(np.roll(prediction, shift, axis=0), BLOCKS)
        np.testing.assert_allclose(found[shift], pearson_r(moved, measured), atol=1e-9)


def test_standardising_before_the_shift_alone_gives_other_values():
    """Slow series, AR(1): what moves into a block has another mean and deviation there."""
    rng = np.random.default_rng(4)
    noise = rng.normal(size=(121, 2, 40))
    series = np.zeros_like(noise)
    for tr in range(1, 121):
        series[tr] = 0.9 * series[tr - 1] + noise[tr]
    prediction, bold = (standardise_by_fold(of, BLOCKS) for of in series.transpose(1, 0, 2))
    _, null = shift_null(prediction, bold, 8, BLOCKS)
    once = np.array([pearson_r(np.roll(prediction, s, axis=0), bold) for s in range(8, 114)])
    anew = [standardise_by_fold(np.roll(prediction, s, axis=0), BLOCKS) for s in range(8, 114)]
    np.testing.assert_allclose(null, [pearson_r(of, bold) for of in anew], atol=1e-9)
    assert np.abs(null - once).max() > 0.1


def test_the_null_of_held_out_blocks_is_blind_to_their_offsets_and_counts_scored_volumes():
    rng = np.random.default_rng(5)
    prediction, bold = smooth_series(130, 3, rng), smooth_series(130, 3, rng)
    tests = [np.arange(5, 45), np.arange(50, 90), np.arange(90, 125)]
    measured = standardise_by_fold(bold, tests)
    measured[60:75, 1] = np.nan
    observed, null = held_out_shift_null(prediction, measured, tests, 1.5)
    assert len(null) == 115 - 2 * 11 + 1
    scored = scored_on(prediction, measured, tests)
    np.testing.assert_allclose(observed[[0, 2]], pearson_r(scored, measured)[[0, 2]], atol=1e-9)
    moved = prediction.copy()
    for index, trs in enumerate(tests):
        moved[trs] = (index + 1) * moved[trs] + 50 * index
    np.testing.assert_allclose(held_out_shift_null(moved, measured, tests, 1.5)[1], null, atol=1e-9)
    # At each shift the same volumes count: those that were measured, and no fewer.
    trs = np.concatenate(tests)
    moving = np.roll(standardise_by_fold(prediction, tests)[trs], 20, axis=0)
    blocks = [np.arange(40), np.arange(40, 80), np.arange(80, 115)]
    want = pearson_r(scored_on(moving, measured[trs], blocks), measured[trs])
    np.testing.assert_allclose(null[20 - 11][[0, 2]], want[[0, 2]], atol=1e-9)
    r, n = [], []
    for of in blocks:
        r.append(pearson_r(moving[of], measured[trs][of])[1])
        n.append(np.isfinite(measured[trs][of][:, 1]).sum())
    assert null[20 - 11][1] == pytest.approx(np.average(r, weights=n), abs=1e-9)


def test_a_constant_block_counts_and_a_constant_series_has_no_r():
    rng = np.random.default_rng(6)
    prediction, bold = rng.normal(size=(2, 121, 2))
    prediction = prediction + bold
    prediction[BLOCKS[0], 0] = 0.1
    prediction[:, 1] = 0.1
    measured, scored = standardise_by_fold(bold, BLOCKS), standardise_by_fold(prediction, BLOCKS)
    assert (scored[BLOCKS[0], 0] == 0).all()
    r, by_shift = pearson_r(scored, measured), shifted_r(prediction, bold, BLOCKS)[0]
    assert by_shift[0] == pytest.approx(r[0], abs=1e-9)
    without = np.concatenate(BLOCKS[1:])
    assert r[0] < pearson_r(scored[without], measured[without])[0] - 0.05
    assert np.isnan([r[1], by_shift[1]]).all()


def test_masked_volumes_count_in_no_shift_and_constant_series_have_no_r():
    rng = np.random.default_rng(1)
    prediction, bold = rng.normal(size=(2, 121, 3))
    bold[30:55, 0] = np.nan
    prediction[100:, 0] = np.nan
    bold[:, 1], prediction[:, 2] = 7.0, 0.1
    found = shifted_r(prediction, bold, BLOCKS)
    assert np.isnan(found[:, 1:]).all()
    for shift in (0, 5):
        moved = np.roll(prediction, shift, axis=0)
        r = np.array([pearson_r(moved[of, :1], bold[of, :1])[0] for of in BLOCKS])
        n = [(np.isfinite(moved[of, 0]) & np.isfinite(bold[of, 0])).sum() for of in BLOCKS]
        assert found[shift, 0] == pytest.approx(np.average(r, weights=n), abs=1e-9)


def test_nearby_shifts_are_no_draws_of_chance():
    series = smooth_series(200, 1, np.random.default_rng(2))
    observed, null = shift_null(series, series, 11)
    assert observed[0] == pytest.approx(1.0)
    assert len(null) == 200 - 2 * 11 + 1
    assert null.max() < 0.8
    with pytest.raises(SettingsError, match="least_shift_trs = 0"):
        shift_null(series, series, 0)


def test_p_of_shifts_is_uniform_under_the_null_and_that_of_shuffled_trs_is_not():
    """400 pairs of smooth, independent series; the full count is in benchmarks/ceilings.py."""
    rng = np.random.default_rng(3)
    blocks = np.array_split(np.arange(200), 4)
    prediction, bold = smooth_series(200, 400, rng), smooth_series(200, 400, rng)
    observed, null = shift_null(prediction, bold, 11, blocks)
    p = permutation_p(observed, null)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert 0.02 <= (p <= 0.05).mean() <= 0.09
    shuffled = [pearson_r(prediction[rng.permutation(200)], bold) for _ in range(200)]
    naive = permutation_p(observed, np.array(shuffled))
    assert (naive <= 0.05).mean() > 0.15
