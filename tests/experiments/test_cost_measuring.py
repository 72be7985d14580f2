"""Counts of parameters, FLOPs and memory, against arithmetic by hand."""

import pytest
import torch
from torch import nn

from subtr.encoders.attention import SoftmaxAttention
from subtr.experiments.cost import count_parameters, forward_flops, kept_for_backward, median_ms


@pytest.mark.parametrize(("groups", "stride", "padding"), [(1, 1, 2), (1, 2, 0), (4, 1, 0)])
def test_a_convolution_multiplies_every_tap_for_every_frame_that_comes_out(groups, stride, padding):
    convolution = nn.Conv1d(8, 12, 5, stride, padding, groups=groups)
    n_out = (40 + 2 * padding - 5) // stride + 1
    per_frame = 12 * (8 // groups) * 5
    assert count_parameters(convolution) == per_frame + 12
    assert forward_flops(convolution, torch.zeros(3, 8, 40)) == 2 * 3 * n_out * per_frame


def test_attention_counts_its_two_products_beside_the_maps():
    frames, dim = 20, 16
    maps = 2 * frames * dim * (3 * dim) + 2 * frames * dim * dim
    products = 2 * (2 * frames * frames * dim)
    attention = SoftmaxAttention(dim, 4)
    assert forward_flops(attention, torch.zeros(1, frames, dim)) == maps + products


@pytest.mark.parametrize(
    "module", [nn.Linear(6, 4), SoftmaxAttention(6, 2), nn.Sequential(nn.Linear(6, 9), nn.GELU())]
)
def test_flops_grow_in_proportion_to_the_batch(module):
    one, five = (forward_flops(module, torch.zeros(n, 7, 6)) for n in (1, 5))
    assert one > 0
    assert five == 5 * one


def test_memory_that_several_operations_keep_counts_once():
    numbers = torch.rand(10, 6)
    linear = nn.Linear(6, 4, bias=False)
    assert kept_for_backward(linear, numbers) == 10 * 6 * 4
    # Two maps of one input keep that input; their product keeps both results besides.
    both = nn.Module()
    both.one, both.other = nn.Linear(6, 4), nn.Linear(6, 4)
    both.forward = lambda given: both.one(given) * both.other(given)
    assert kept_for_backward(both, numbers) == (10 * 6 + 2 * 10 * 4) * 4
    # A view keeps the memory that it looks into.
    assert kept_for_backward(linear, numbers[:5]) == 10 * 6 * 4


def test_parameters_and_what_needs_no_gradient_are_not_kept():
    frozen = nn.Linear(6, 4).requires_grad_(False)
    assert kept_for_backward(frozen, torch.rand(10, 6)) == 0
    assert kept_for_backward(nn.ReLU(), torch.rand(10, 6, requires_grad=True)) == 10 * 6 * 4


def test_calls_take_turns_and_are_all_warmed_up():
    made = []
    times = median_ms([lambda: made.append("a"), lambda: made.append("b")], repeats=3)
    assert "".join(made) == "ab" * 5
    assert len(times) == 2
