"""The response layer is causal and is the response; heads start from what all subjects share."""

import numpy as np
import pytest
import torch

from subtr.bold.hrf import HRF_DURATION_S, hrf_kernel
from subtr.hrf_layer import HrfLayer
from subtr.readouts import BoldReadout
from subtr.subject_heads import SubjectHeads

TRS_S = [1.0, 1.49, 1.5, 2.0]


def impulse(n_trs=40, at=7, n_parcels=2):
    activity = torch.zeros(1, n_trs, n_parcels)
    activity[0, at] = 1
    return activity


@pytest.mark.parametrize("response", ["canonical", "fir"])
@pytest.mark.parametrize("tr_s", TRS_S)
def test_an_impulse_gives_the_response_and_nothing_before_it(tr_s, response):
    layer = HrfLayer(2, tr_s, response)
    bold = layer(impulse())[0].detach().numpy()
    kernel = hrf_kernel(tr_s)
    expected = np.zeros(40)
    expected[7 : 7 + len(kernel)] = kernel[: 40 - 7]
    for parcel in range(2):
        np.testing.assert_allclose(bold[:, parcel], expected, atol=1e-6)
    assert (bold[:7] == 0).all()


@pytest.mark.parametrize("tr_s", TRS_S)
def test_the_lead_reaches_as_far_back_as_the_response_lasts(tr_s):
    layer = HrfLayer(1, tr_s)
    assert layer.n_lead_trs * tr_s >= HRF_DURATION_S - tr_s
    activity = torch.randn(1, 60, 1, generator=torch.Generator().manual_seed(0))
    older = activity.clone()
    older[:, : 59 - layer.n_lead_trs] += 9.0
    assert layer(activity)[0, -1] == layer(older)[0, -1]


def test_the_future_never_reaches_a_volume_even_after_learning():
    torch.manual_seed(0)
    layer = HrfLayer(3, 1.5)
    with torch.no_grad():
        layer.kernel.normal_()
    activity = torch.randn(2, 50, 3, requires_grad=True)
    layer(activity)[:, 20].sum().backward()
    assert (activity.grad[:, 21:] == 0).all()
    assert (activity.grad[:, 20] != 0).all()


def test_only_the_fir_response_learns_and_each_parcel_its_own():
    assert list(HrfLayer(2, 1.5, "canonical").parameters()) == []
    layer = HrfLayer(2, 1.5, "fir")
    layer(impulse())[..., 0].sum().backward()
    assert (layer.kernel.grad[0] != 0).any()
    assert (layer.kernel.grad[1] == 0).all()


def test_a_canonical_response_is_not_tied_to_a_checkpoints_tr():
    weights = BoldReadout(4, ["a"], 2, 1.5, "canonical").state_dict()
    other = BoldReadout(4, ["a"], 2, 2.0, "canonical")
    other.load_state_dict(weights)
    np.testing.assert_allclose(other.hrf.kernel[0, 0].flip(0), hrf_kernel(2.0), atol=1e-7)


def test_all_subjects_start_at_the_shared_head():
    torch.manual_seed(0)
    heads = SubjectHeads(5, ["a", "b", "c"], 4)
    vectors = torch.randn(2, 10, 5)
    found = heads(vectors)
    for bold in found:
        torch.testing.assert_close(bold, vectors @ heads.shared.weight.T)
    with torch.no_grad():
        heads.own[1, 2] = 1.0
    changed = heads(vectors)
    torch.testing.assert_close(changed[[0, 2]], found[[0, 2]])
    torch.testing.assert_close(changed[1, ..., 2], found[1, ..., 2] + vectors.sum(-1))


def test_head_and_response_commute():
    torch.manual_seed(0)
    readout = BoldReadout(3, ["a", "b"], 4, 1.5, "canonical")
    with torch.no_grad():
        readout.heads.own.normal_()
    vectors = torch.randn(2, 40, 3)
    before = HrfLayer(3, 1.5, "canonical")(vectors)
    for subject, bold in zip(["a", "b"], readout.heads(before), strict=True):
        torch.testing.assert_close(readout(vectors)[subject], bold, rtol=1e-4, atol=1e-5)
