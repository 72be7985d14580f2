"""The response is causal, peaks when the literature says, and depends on neither TR nor step."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nilearn.glm.first_level import glover_hrf, spm_hrf
from scipy.integrate import quad
from scipy.stats import gamma

from subtr.bold.hrf import HRF_MODELS, convolve_hrf, hrf, hrf_kernel
from subtr.params import SettingsError
from subtr.timeline import HRF_DURATION_S

MODELS = sorted(HRF_MODELS)
TRS = st.sampled_from([0.5, 1.0, 1.49, 1.5, 2.0, 3.0])


@pytest.mark.parametrize(("model", "peak_s"), [("spm", 5.0), ("glover", 5.0)])
def test_impulse_peaks_at_the_second_of_the_literature(model, peak_s):
    times_s = np.arange(0, 30, 0.001)
    assert times_s[np.argmax(hrf(times_s, model))] == pytest.approx(peak_s, abs=0.06)


def test_spm_is_the_difference_of_its_two_gammas():
    times_s = np.linspace(0, HRF_DURATION_S, 481)
    gammas = gamma.pdf(times_s, 6) - gamma.pdf(times_s, 16) / 6
    total = quad(lambda t: gamma.pdf(t, 6) - gamma.pdf(t, 16) / 6, 0, HRF_DURATION_S)[0]
    np.testing.assert_allclose(hrf(times_s), gammas / total, atol=1e-12)


@pytest.mark.parametrize(("model", "theirs"), [("spm", spm_hrf), ("glover", glover_hrf)])
def test_agrees_with_nilearn_once_its_grid_is_undone(model, theirs):
    # nilearn spreads n points from 0 to the end inclusive, delays the gammas by one step of
    # t_r / oversampling, and scales the samples to sum 1: compare at the times it really means.
    t_r, oversampling, length_s = 1.5, 50, 24.0
    n_points = round(length_s * oversampling / t_r)
    grid_s = np.linspace(0, length_s, n_points)
    # For SPM it also rounds 1/6 to 0.167.
    shape = replace(HRF_MODELS["spm"], undershoot_ratio=0.167) if model == "spm" else model
    ours = hrf(grid_s - t_r / oversampling, shape, duration_s=length_s)
    reference = theirs(t_r, oversampling=oversampling, time_length=length_s)
    np.testing.assert_allclose(ours / ours.sum(), reference, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("tr_s", [0.7, 1.49, 1.5, 2.0])
@pytest.mark.parametrize("volume_fraction", [0.0, 0.3, 0.5, 1.0])
def test_kernel_is_the_integral_of_the_response_over_the_box(model, tr_s, volume_fraction):
    kernel = hrf_kernel(tr_s, model, volume_fraction=volume_fraction)
    for lag in (0, 1, 3, 7):
        end_s = (lag + volume_fraction) * tr_s
        expected = quad(lambda t: float(hrf(np.array([t]), model)[0]), max(end_s - tr_s, 0), end_s)[
            0
        ]
        assert kernel[lag] == pytest.approx(expected, abs=1e-8)


@given(tr_s=TRS, volume_fraction=st.floats(0, 1), model=st.sampled_from(MODELS))
def test_sustained_activity_settles_at_its_own_level(tr_s, volume_fraction, model):
    kernel = hrf_kernel(tr_s, model, volume_fraction=volume_fraction)
    assert kernel.sum() == pytest.approx(1.0, abs=1e-12)


@given(
    tr_s=TRS, onset_tr=st.integers(0, 20), step=st.integers(0, 15), model=st.sampled_from(MODELS)
)
def test_nothing_moves_before_the_activity(tr_s, onset_tr, step, model):
    activity = np.zeros((60 * 16, 1))
    activity[onset_tr * 16 + step :] = 1.0
    bold = convolve_hrf(activity, tr_s / 16, tr_s, model)[:, 0]
    volume_s = (np.arange(60) + 0.5) * tr_s
    onset_s = (onset_tr + step / 16) * tr_s
    assert np.all(bold[volume_s <= onset_s] == 0)
    assert np.all(bold[(volume_s > onset_s + 0.1) & (volume_s < onset_s + 5)] > 0)


@given(seed=st.integers(0, 1000), refinement=st.sampled_from([2, 3, 16]), tr_s=TRS)
def test_answer_does_not_depend_on_oversampling(seed, refinement, tr_s):
    activity = np.random.default_rng(seed).normal(size=(40 * 4, 2))
    coarse = convolve_hrf(activity, tr_s / 4, tr_s)
    fine = convolve_hrf(np.repeat(activity, refinement, axis=0), tr_s / 4 / refinement, tr_s)
    np.testing.assert_allclose(fine, coarse, atol=1e-10)


def test_answer_does_not_depend_on_the_tr():
    # Activity in steps of 0.25 s, sampled at TR 1 and at TR 3: volumes that lie at the same second
    # must agree. Middles of TR 3 (1.5, 4.5, ...) are the middles of every third TR 1.
    activity = np.random.default_rng(0).normal(size=(240, 3))
    one, three = convolve_hrf(activity, 0.25, 1.0), convolve_hrf(activity, 0.25, 3.0)
    np.testing.assert_allclose(three, one[1::3], atol=1e-12)


def test_kernel_is_what_convolution_does_at_one_step_a_tr():
    activity = np.random.default_rng(1).normal(size=50)
    by_kernel = np.convolve(activity, hrf_kernel(1.5))[:50]
    np.testing.assert_allclose(convolve_hrf(activity[:, None], 1.5, 1.5)[:, 0], by_kernel)


def test_agrees_with_a_plain_sum_over_impulses():
    rng = np.random.default_rng(2)
    activity, tr_s, step_s = rng.normal(size=(64 * 30, 1)), 1.5, 1.5 / 64
    volume_s = (np.arange(30) + 0.5) * tr_s
    step_middle_s = (np.arange(64 * 30) + 0.5) * step_s
    plain = hrf(volume_s[:, None] - step_middle_s[None, :]) @ activity * step_s
    np.testing.assert_allclose(convolve_hrf(activity, step_s, tr_s), plain, atol=2e-5)


@given(peak_s=st.floats(3, 9))
def test_stretched_response_peaks_where_asked(peak_s):
    times_s = np.arange(0, 24, 0.001)
    response = hrf(times_s, HRF_MODELS["spm"].with_peak(peak_s))
    assert times_s[np.argmax(response)] == pytest.approx(peak_s, abs=0.03)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: hrf_kernel(1.5, "smp"),
        lambda: hrf_kernel(1.5, volume_fraction=1.5),
        lambda: hrf_kernel(1.5, duration_s=0.5),
        lambda: convolve_hrf(np.zeros((10, 1)), 0.4, 1.5),
        lambda: HRF_MODELS["spm"].with_peak(-1.0),
    ],
)
def test_impossible_settings_are_refused(bad):
    with pytest.raises(SettingsError):
        bad()
