"""Parallel kernels and their fusion are one convolution; the report's sizes, measured."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from subtr.encoders.convolutional import (
    MultiscaleConvolution,
    MultiscaleEncoder,
    separable_convolution,
)
from subtr.params import SettingsError

odd = st.integers(0, 6).map(lambda half: 2 * half + 1)


@given(
    kernels=st.lists(odd, min_size=1, max_size=5), seed=st.integers(0, 100), separable=st.booleans()
)
def test_collapsed_equals_branches_and_fusion(kernels, seed, separable):
    torch.manual_seed(seed)
    scales = MultiscaleConvolution(3, 4, tuple(kernels), separable).double()
    frames = torch.randn(2, 3, 30, dtype=torch.float64)
    single = scales.collapsed()
    assert single.kernel_size == (max(kernels),)
    torch.testing.assert_close(single(frames), scales(frames), rtol=0, atol=1e-12)


def test_collapsing_leaves_what_it_came_from_alone_and_costs_less():
    torch.manual_seed(0)
    scales = MultiscaleConvolution(128, 64, (1, 3, 5, 7, 11))
    before = [parameter.clone() for parameter in scales.parameters()]
    single = scales.collapsed()
    assert sum(p.numel() for p in single.parameters()) == 64 * 128 * 11 + 64
    for was, is_now in zip(before, scales.parameters(), strict=True):
        assert torch.equal(was, is_now)


@pytest.mark.parametrize(
    ("in_dim", "separable", "n_parameters"),
    [
        (128, False, 1_411_328),  # the report says 720 thousand
        (132, False, 1_438_976),  # with the four channels of elapsed time
        (128, True, 564_480),
        (132, True, 569_728),
    ],
)
def test_the_parameters_of_the_reports_first_tier(in_dim, separable, n_parameters):
    encoder = MultiscaleEncoder(in_dim, norm="batch", activation="relu", separable=separable)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == n_parameters


def test_a_separable_convolution_is_the_reports_pair_and_has_its_parameters():
    # The report counts 2D kernels of 9 taps without biases: 256 * 9 + 256 * 512 = 133,376.
    depthwise, pointwise = separable_convolution(256, 512, 9)
    assert depthwise.weight.numel() + pointwise.weight.numel() == 133_376
    frames = torch.randn(1, 256, 12)
    alone = frames.clone()
    alone[:, 1:] = 0
    torch.testing.assert_close(depthwise(frames)[:, 0], depthwise(alone)[:, 0])


def test_the_reports_kernels_span_70_to_258_ms():
    spans_ms = {
        kernel: 1000
        * MultiscaleEncoder(4, kernel_frames=(kernel,), depth=0).receptive_field_s(64 / 1.5)[0]
        for kernel in (3, 11)
    }
    assert spans_ms == pytest.approx({3: 70.3, 11: 257.8}, abs=0.1)


@pytest.mark.parametrize("norm", ["layer", "group", "none"])
def test_no_statistic_crosses_windows_unless_asked_for(norm):
    torch.manual_seed(0)
    encoder = MultiscaleEncoder(3, hidden_dim=8, norm=norm)  # as in training, not eval()
    frames = torch.randn(4, 20, 3)
    loud = torch.cat([frames[:1], 100 * frames[1:]])
    torch.testing.assert_close(encoder(frames)[0][0], encoder(loud)[0][0], rtol=1e-4, atol=1e-5)


def test_batch_norm_is_what_it_says():
    torch.manual_seed(0)
    encoder = MultiscaleEncoder(3, hidden_dim=8, norm="batch")
    frames = torch.randn(4, 20, 3)
    loud = torch.cat([frames[:1], 100 * frames[1:]])
    assert (encoder(frames)[0][0] - encoder(loud)[0][0]).abs().max() > 0.1


@pytest.mark.parametrize("options", [{"kernel_frames": (3, 4)}, {"block_frames": 2}])
def test_even_kernels_are_refused_by_name(options):
    (name,) = options
    with pytest.raises(SettingsError, match=rf"{name} = .*expected (an )?odd number"):
        MultiscaleEncoder(3, **options)
