"""Heads start from what all subjects share; neighbouring TRs reach a volume as far as asked."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import order_study

from subtr.bold.hrf import hrf_kernel
from subtr.models.encoding_model import BoldReadout, ReadoutParams, SubjectHeads
from subtr.models.responses import RESPONSES
from subtr.params import SettingsError, StudyWarning, validate
from subtr.training.encoding_models import bold_predictor
from subtr.training.systems import BoldParams


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
    before = RESPONSES.build("canonical", 3, 1.5)(vectors)
    for subject, bold in zip(["a", "b"], readout.heads(before), strict=True):
        torch.testing.assert_close(readout(vectors)[subject], bold, rtol=1e-4, atol=1e-5)


def reach(readout, n_trs=60, at=30):
    """The TRs whose vectors a volume's prediction depends on, relative to it."""
    vectors = torch.randn(1, n_trs, readout.dim, requires_grad=True)
    readout(vectors)["a"][0, at].sum().backward()
    (trs,) = np.nonzero(vectors.grad[0].abs().sum(1).numpy())
    return trs - at


@pytest.mark.parametrize(
    ("response", "options", "context_trs", "first", "last"),
    [
        ("applied", {}, (0, 0), 0, 0),
        ("applied", {}, (2, 3), -2, 3),
        ("lag", {"lag_s": 4.5}, (2, 0), -5, -3),
        ("canonical", {}, (0, 0), -16, 0),
        ("canonical", {}, (4, 0), -20, 0),
    ],
)
def test_a_volume_sees_its_context_and_no_more(response, options, context_trs, first, last):
    readout = BoldReadout(3, ["a"], 2, 1.5, response, options, context_trs)
    seen = reach(readout)
    assert (seen[0], seen[-1]) == (first, last)
    assert (-readout.n_lead_trs, readout.n_after_trs) == (first, max(last, 0))


def test_context_gives_each_neighbour_weights_of_its_own():
    readout = BoldReadout(3, ["a"], 2, 1.5, "applied", {}, (1, 1))
    vectors = torch.randn(1, 10, 3)
    weights = readout.heads.shared.weight
    by_hand = torch.cat([vectors[0, 3], vectors[0, 4], vectors[0, 5]]) @ weights.T
    torch.testing.assert_close(readout(vectors)["a"][0, 4], by_hand)
    at_start = torch.cat([torch.zeros(3), vectors[0, 0], vectors[0, 1]]) @ weights.T
    torch.testing.assert_close(readout(vectors)["a"][0, 0], at_start)


@pytest.mark.parametrize("response", [None, "fir", {"name": "lag", "lag_s": 3.0}])
def test_what_comes_after_a_volume_is_refused_unless_it_was_shifted(response):
    with pytest.raises(SettingsError, match=r"after a volume cannot have caused it.*applied"):
        validate(ReadoutParams, {"response": response, "context_trs": [1, 2]}, "system.yaml")
    shifted = validate(ReadoutParams, {"response": "applied", "context_trs": [1, 2]}, "a")
    assert shifted.context_trs == (1, 2)


def made(study, **readout):
    stream = {"encoder": {"name": "linear", "hidden_dim": 2}}
    settings = {"stream": stream, "readout": {"vector_dim": 2} | readout}
    return bold_predictor(study, validate(BoldParams, settings, "system.yaml"))


def test_a_response_on_top_of_shifted_bold_is_refused_with_what_to_set():
    study, shifted = order_study(60), replace(order_study(60), hrf_applied=True, bold_lag_s=0.0)
    for response in ("fir", "canonical", "kernel", {"name": "lag", "lag_s": 4.5}, "bin"):
        with pytest.raises(SettingsError, match=r"double shifting.*response: applied"):
            made(shifted, response=response)
        made(study, response=response)
    assert type(made(shifted, response="applied").readouts[0].hrf) is RESPONSES["applied"]
    assert type(made(shifted).readouts[0].hrf) is RESPONSES["applied"]
    assert type(made(study).readouts[0].hrf) is RESPONSES["fir"]


def test_applied_where_bold_lags_warns_unless_the_context_reaches_it():
    with pytest.warns(StudyWarning, match="lags its stimulus by about 5 s"):
        made(order_study(60), response="applied")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(order_study(60), response="applied", context_trs=[4, 0])
