"""Deconvolution is ridge and Wiener's filter where those are known; parts never meet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leaks import assert_fitted_on_train
from sklearn.linear_model import Ridge

from subtr.bold.deconvolution import Deconvolution
from subtr.bold.hrf import HRF_MODELS, convolve_hrf, hrf_kernel
from subtr.params import SettingsError, StudyError
from subtr.timeline import block_splits

TR_S = 1.5


def planted(n_trs=300, snr=3.0, seed=0, events=False, n_parcels=2, peak_s=5.0):
    """Activity, and BOLD after the response to it and to what went on before the first volume."""
    rng = np.random.default_rng(seed)
    shape = (n_trs + 40, n_parcels)
    activity = (rng.random(shape) < 0.05) * 1.0 if events else rng.normal(size=shape)
    kernel = hrf_kernel(TR_S, HRF_MODELS["spm"].with_peak(peak_s))
    bold = np.stack([np.convolve(column, kernel)[: len(activity)] for column in activity.T], 1)[40:]
    bold -= bold.mean(0)
    noise = rng.normal(size=bold.shape) * bold.std(0) / np.sqrt(snr)
    return activity[40:], bold + noise


def deconvolved(bold, parts=None, runs=None, tr_s=TR_S, **options):
    n_trs = len(bold)
    runs = np.zeros(n_trs, np.int64) if runs is None else runs
    parts = [np.arange(n_trs)] if parts is None else parts
    how = Deconvolution(tr_s, **options).fit(bold, parts[0], runs)
    return how.transform(bold, parts, runs)


def mean_r(found, activity):
    known = np.isfinite(found).all(1)
    pairs = zip(found[known].T, activity[known].T, strict=True)
    return np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs])


def test_wiener_is_ridge_regression_on_the_response():
    _, bold = planted(120)
    kernel = hrf_kernel(TR_S)
    design = np.zeros((120, 120 + len(kernel) - 1))
    for volume in range(120):
        for lag, weight in enumerate(kernel):
            design[volume, volume - lag + len(kernel) - 1] = weight
    ridge = Ridge(alpha=0.3, fit_intercept=False).fit(design, bold)
    found = deconvolved(bold, noise_to_signal=0.3)
    known = np.isfinite(found[:, 0])
    np.testing.assert_allclose(found[known], ridge.coef_.T[-120:][known], atol=1e-8)


def test_wiener_is_the_filter_of_the_textbook_away_from_the_ends():
    _, bold = planted(400)
    kernel = np.r_[hrf_kernel(TR_S), np.zeros(400)][:400]
    response = np.fft.rfft(kernel)[:, None]
    q = 0.2
    filtered = np.conj(response) * np.fft.rfft(bold, axis=0) / (np.abs(response) ** 2 + q)
    textbook = np.fft.irfft(filtered, 400, axis=0)
    found = deconvolved(bold, noise_to_signal=q)
    np.testing.assert_allclose(found[60:340], textbook[60:340], atol=1e-3 * textbook.std())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ratio", [0.03, 0.3])
def test_the_noise_is_estimated_from_the_bold_itself(seed, ratio):
    _, clean = planted(600, snr=1e9, seed=seed, n_parcels=6)
    noisy = clean + np.sqrt(ratio) * np.random.default_rng(seed + 50).normal(size=clean.shape)
    how = Deconvolution(TR_S).fit(noisy, np.arange(600), np.zeros(600, np.int64))
    assert np.exp(np.log(how.noise_to_signal / ratio).mean()) == pytest.approx(1, abs=0.3)
    np.testing.assert_allclose(how.noise_variance.mean(), ratio, rtol=0.15)


@settings(deadline=None, max_examples=10)
@given(tr_s=st.sampled_from([0.75, 1.0, 1.5, 2.0, 3.0]), seed=st.integers(0, 100))
def test_what_it_gives_does_not_depend_on_the_tr(tr_s, seed):
    """Slow activity in steps of 6 s, sampled at any TR, comes back as the same steps."""
    steps = np.random.default_rng(seed).normal(size=40)
    fine = np.repeat(steps, 24)  # steps of 0.25 s
    bold = convolve_hrf(fine[:, None], 0.25, tr_s)
    found = deconvolved(bold, noise_to_signal=1e-3, tr_s=tr_s)[:, 0]
    of_steps = found.reshape(40, -1).mean(1)[2:-2]
    assert np.corrcoef(of_steps, steps[2:-2])[0, 1] > 0.98
    assert np.polyfit(steps[2:-2], of_steps, 1)[0] == pytest.approx(1, abs=0.1)


def test_sparse_finds_planted_events_and_beats_a_shift_at_high_signal():
    activity, bold = planted(300, snr=10, events=True, n_parcels=4)
    found = deconvolved(bold, method="sparse")
    shifted = np.full(bold.shape, np.nan)
    shifted[:-4] = (2 * bold[3:-1] + bold[4:]) / 3  # 5 s
    assert mean_r(found, activity) > mean_r(deconvolved(bold), activity) + 0.1
    assert mean_r(found, activity) > mean_r(shifted, activity) + 0.2
    zero = found[np.isfinite(found)] == 0
    assert 0.4 < zero.mean() < 0.97
    near = np.maximum.reduce([np.roll(found, shift, 0) for shift in (-1, 0, 1)])
    at_event = (activity > 0) & np.isfinite(near)
    assert (near[at_event] > 0.1).mean() > 0.8


SPLIT = block_splits(np.zeros(400, np.int64), TR_S, 4)[1]
PARTS = [SPLIT.train, SPLIT.validation, SPLIT.test]


@pytest.mark.parametrize("method", ["wiener", "sparse"])
def test_no_part_looks_at_another(method):
    _, bold = planted(400)
    found = deconvolved(bold, PARTS, method=method)
    gaps = np.setdiff1d(np.arange(400), np.concatenate(PARTS))
    assert np.isnan(found[gaps]).all()

    def prepare(values, split):
        parts = [split.train, split.validation, split.test]
        return deconvolved(values, parts, method=method)

    assert_fitted_on_train(prepare, bold, SPLIT)
    changed = bold.copy()
    changed[SPLIT.train] = changed[SPLIT.train][::-1]
    given = {"method": method, "noise_to_signal": 0.2}
    if method == "wiener":
        np.testing.assert_array_equal(
            deconvolved(changed, PARTS, **given)[SPLIT.test],
            deconvolved(bold, PARTS, **given)[SPLIT.test],
        )


def test_deconvolving_everything_at_once_would_be_caught():
    _, bold = planted(400)

    def leaking(values, _):
        return deconvolved(values)

    with pytest.raises(StudyError, match="leak"):
        assert_fitted_on_train(leaking, bold, SPLIT)
    with pytest.raises(SettingsError, match="two parts share a TR"):
        deconvolved(bold, [np.arange(100), np.arange(50, 200)])


def test_runs_are_apart_and_what_was_not_measured_is_unknown():
    _, bold = planted(200)
    runs = np.repeat([0, 1], 100)
    found = deconvolved(bold, runs=runs, noise_to_signal=0.2)
    changed = bold.copy()
    changed[100:] *= -2
    other = deconvolved(changed, runs=runs, noise_to_signal=0.2)
    np.testing.assert_array_equal(found[:100], other[:100])
    # The response peaks 5 s later, so of the last four TRs of each run little was seen.
    assert np.flatnonzero(np.isnan(found[:, 0])).tolist() == [*range(96, 100), *range(196, 200)]
    holed = bold.copy()
    holed[40, 0], holed[:, 1] = np.nan, np.nan
    found = deconvolved(holed, runs=runs, noise_to_signal=0.2)
    missing = [*range(36, 41), *range(96, 100), *range(196, 200)]
    assert np.flatnonzero(np.isnan(found[:, 0])).tolist() == missing
    assert np.isnan(found[:, 1]).all()
    assert np.isnan(deconvolved(bold[:11], noise_to_signal=0.2)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "winer"}, "method = 'winer'"),
        ({"noise_to_signal": 0.0}, "noise_to_signal = 0"),
        ({"model": "smp"}, "'smp'"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(SettingsError, match=message):
        Deconvolution(TR_S, **options)
