"""Every response of a readout: what an impulse gives, causality, and the sum that keeps levels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from subtr.bold.hrf import HRF_MODELS, DoubleGamma, bin_kernel, hrf, hrf_kernel, lag_kernel
from subtr.models.responses import _SPEED, RESPONSES
from subtr.params import SettingsError
from subtr.timeline import HRF_DURATION_S

TRS_S = [1.0, 1.49, 1.5, 2.0]
NO_DIP = {
    name: type(shape)(shape.peak_shape, shape.peak_scale_s, 16.0, 1.0, 0.0)
    for name, shape in HRF_MODELS.items()
}
# Name -> response by lag that an impulse must give, before anything is learned.
CASES = {
    "canonical": ({}, lambda tr_s: hrf_kernel(tr_s)),
    "canonical, Glover": ({"model": "glover"}, lambda tr_s: hrf_kernel(tr_s, "glover")),
    "fir": ({}, lambda tr_s: hrf_kernel(tr_s)),
    "fir, positive": ({"positive": True}, lambda tr_s: hrf_kernel(tr_s, NO_DIP["spm"])),
    "kernel": ({}, lambda tr_s: hrf_kernel(tr_s)),
    "kernel, Glover": ({"model": "glover"}, lambda tr_s: hrf_kernel(tr_s, "glover")),
    "kernel, positive": ({"positive": True}, lambda tr_s: hrf_kernel(tr_s, NO_DIP["spm"])),
    "lag": ({"lag_s": 4.5}, lambda tr_s: lag_kernel(4.5, tr_s)),
    "bin": ({"from_s": 2.0, "to_s": 6.0}, lambda tr_s: bin_kernel(2.0, 6.0, tr_s)),
    "applied": ({}, lambda _: np.ones(1)),
}


def built(case, n_parcels=2, tr_s=1.5):
    return RESPONSES.build(case.split(",")[0], n_parcels, tr_s, **CASES[case][0])


def impulse(n_trs=40, at=7, n_parcels=2):
    activity = torch.zeros(1, n_trs, n_parcels)
    activity[0, at] = 1
    return activity


def stirred(case, seed=0):
    """The response after learning something at random."""
    layer = built(case, 3)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.2)
    return layer


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tr_s", TRS_S)
def test_an_impulse_gives_the_response_and_nothing_before_it(case, tr_s):
    bold = built(case, 2, tr_s)(impulse())[0].detach().numpy()
    kernel = CASES[case][1](tr_s)
    expected = np.zeros(40)
    expected[7 : 7 + len(kernel)] = kernel[: 40 - 7]
    for parcel in range(2):
        np.testing.assert_allclose(bold[:, parcel], expected, atol=2e-6)
    assert (bold[:7] == 0).all()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tr_s", TRS_S)
def test_sustained_activity_settles_at_its_own_level(case, tr_s):
    bold = built(case, 1, tr_s)(torch.ones(1, 60, 1))
    assert bold[0, -1, 0].item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_future_never_reaches_a_volume_even_after_learning(case):
    layer, activity = stirred(case), torch.randn(2, 50, 3, requires_grad=True)
    layer(activity)[:, 20].sum().backward()
    assert (activity.grad[:, 21:] == 0).all()
    assert (activity.grad[:, : 20 - layer.n_lead_trs] == 0).all()
    assert (activity.grad[:, : 20 + 1] != 0).any()


@pytest.mark.parametrize("case", ["canonical", "fir", "kernel"])
@pytest.mark.parametrize("tr_s", TRS_S)
def test_the_lead_reaches_as_far_back_as_the_response_lasts(case, tr_s):
    layer = built(case, 1, tr_s)
    assert layer.n_lead_trs * tr_s >= HRF_DURATION_S - tr_s
    activity = torch.randn(1, 60, 1, generator=torch.Generator().manual_seed(0))
    older = activity.clone()
    older[:, : 59 - layer.n_lead_trs] += 9.0
    assert layer(activity)[0, -1] == layer(older)[0, -1]


def test_learned_responses_are_each_parcels_own_and_fixed_ones_do_not_learn():
    for case in CASES:
        layer = built(case)
        if case.split(",")[0] not in ("fir", "kernel"):
            assert list(layer.parameters()) == []
            continue
        layer.wait_steps = 0  # "kernel" else learns a little later
        bold = layer(torch.randn(1, 60, 2, generator=torch.Generator().manual_seed(1)))
        bold[..., 0].square().sum().backward()
        (parameter,) = layer.parameters()
        assert (parameter.grad[0] != 0).any()
        assert (parameter.grad[1] == 0).all()


def test_a_kernel_begins_to_learn_when_heads_have_found_their_sign():
    layer = RESPONSES.build("kernel", 1, 1.5, wait_steps=2)
    activity = torch.randn(1, 60, 1, generator=torch.Generator().manual_seed(1))
    learns = [layer(activity).requires_grad for _ in range(4)]
    assert learns == [False, False, True, True]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("case", ["fir, positive", "kernel, positive"])
def test_a_positive_response_stays_so_whatever_it_learns(case, seed):
    assert stirred(case, seed).by_lag().min() >= 0


def test_a_fixed_response_is_not_tied_to_a_checkpoints_tr():
    for case in ("canonical", "lag", "bin", "applied"):
        assert built(case).state_dict() == {}
    learned, other = stirred("kernel"), built("kernel", 3, 2.0)
    other.load_state_dict(learned.state_dict())
    np.testing.assert_allclose(other.peak_times_s(), learned.peak_times_s(), atol=1e-6)


@given(
    lag_s=st.floats(0, HRF_DURATION_S),
    width_s=st.floats(0, 8),
    tr_s=st.sampled_from([0.5, *TRS_S, 3.0]),
)
def test_a_lag_and_a_bin_delay_a_ramp_by_their_middle_at_any_tr(lag_s, width_s, tr_s):
    to_s = min(lag_s + width_s, HRF_DURATION_S)
    for kernel, middle_s in (
        (lag_kernel(lag_s, tr_s), lag_s),
        (bin_kernel(lag_s, to_s, tr_s), (lag_s + to_s) / 2),
    ):
        assert kernel.min() >= 0
        assert kernel.sum() == pytest.approx(1, abs=1e-6)
        assert np.arange(len(kernel)) @ kernel * tr_s == pytest.approx(middle_s, abs=1e-4)


def test_a_whole_number_of_trs_is_a_plain_shift_and_half_of_one_is_split():
    np.testing.assert_allclose(lag_kernel(4.5, 1.5), [0, 0, 0, 1])
    np.testing.assert_allclose(lag_kernel(5.25, 1.5), [0, 0, 0, 0.5, 0.5])
    np.testing.assert_allclose(bin_kernel(2.0, 6.0, 2.0), [0, 0.25, 0.5, 0.25])


@pytest.mark.parametrize("lag_s", [1.1, 4.0, 5.3])
def test_a_lag_is_exact_for_activity_that_is_constant_within_trs(lag_s):
    tr_s, fine = 1.5, 150  # steps of 0.01 s
    activity = np.random.default_rng(0).normal(size=30)
    moved = np.concatenate([np.zeros(round(lag_s * 100)), np.repeat(activity, fine)])
    averaged = moved[: 30 * fine].reshape(30, fine).mean(1)
    layer = RESPONSES.build("lag", 1, tr_s, lag_s=lag_s)
    found = layer(torch.tensor(activity, dtype=torch.float32)[None, :, None])[0, :, 0]
    np.testing.assert_allclose(found.numpy(), averaged, atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(
    peak_s=st.floats(3, 8),
    width_share=st.floats(0.3, 0.6),
    dip=st.floats(0.02, 0.5),
    tr_s=st.sampled_from([0.7, *TRS_S, 3.0]),
)
def test_a_learned_kernel_is_the_double_gamma_of_its_numbers_at_any_tr(
    peak_s, width_share, dip, tr_s
):
    """Against the closed form, which integrates the response by itself."""
    width_s = min(max(peak_s * width_share, 1.1), 4.9)
    layer = RESPONSES.build("kernel", 1, tr_s)
    wanted = torch.tensor([peak_s, width_s, dip])
    share = (wanted - layer._low) / layer._range
    with torch.no_grad():
        layer.departure[0] = (torch.logit(share) - layer._start) / _SPEED
    np.testing.assert_allclose(layer.shape()[0].detach(), wanted, rtol=1e-4)

    def gamma(mode_s, deviation_s):
        scale_s = (np.sqrt(mode_s**2 + 4 * deviation_s**2) - mode_s) / 2
        return mode_s / scale_s + 1, scale_s

    shape = DoubleGamma(*gamma(peak_s, width_s), *gamma(3 * peak_s, width_s * np.sqrt(16 / 6)), dip)
    np.testing.assert_allclose(layer.by_lag()[0], hrf_kernel(tr_s, shape), atol=2e-4)
    times_s = np.arange(0, HRF_DURATION_S, 0.005)
    top_s = times_s[hrf(times_s, shape).argmax()]
    assert layer.peak_times_s()[0] == pytest.approx(top_s, abs=0.02)


@pytest.mark.parametrize("tr_s", TRS_S)
def test_peak_times_are_those_of_the_responses(tr_s):
    assert built("lag", 2, tr_s).peak_times_s().tolist() == [4.5, 4.5]
    assert built("bin", 1, tr_s).peak_times_s().tolist() == [4.0]
    assert built("applied", 1, tr_s).peak_times_s().tolist() == [0.0]
    for case in ("canonical", "kernel", "canonical, Glover", "kernel, Glover"):
        assert built(case, 1, tr_s).peak_times_s()[0] == pytest.approx(5.0, abs=0.06)
    fir = built("fir", 2, tr_s)
    assert fir.peak_times_s() == pytest.approx(5.0, abs=0.3)
    with torch.no_grad():
        fir.kernel[1] = 0
        fir.kernel[1, 0, -1 - 3] = -2.0  # a dip three TRs later is its largest response
    assert fir.peak_times_s()[1] == pytest.approx(3 * tr_s)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("glover", {}, r"'glover' is no known response"),
        ("kernal", {}, r"Did you mean 'kernel'"),
        ("lag", {"lag_s": -1.5}, r"lag_s = -1\.5"),
        ("lag", {"lag": 4.5}, r"lag: unknown key.*'lag_s'"),
        ("canonical", {"model": "smp"}, r"model = 'smp'"),
        ("bin", {"from_s": 6.0, "to_s": 4.0}, r"from_s = 6\.0, to_s = 4\.0: expected seconds"),
    ],
)
def test_impossible_responses_are_refused(name, options, message):
    with pytest.raises(SettingsError, match=message):
        RESPONSES.build(name, 2, 1.5, **options)
