"""Any encoder with any aggregator and any position is a stream that learns."""

import itertools
import re

import pytest
import torch
from torch.nn.functional import mse_loss

from subtr.aggregators import AGGREGATORS
from subtr.encoders import ENCODERS
from subtr.encoders.positions import POSITIONS
from subtr.models.stream import Part, Stream, StreamParams

IN_DIM, N_FRAMES, CONTEXT, DIM, TR_S = 4, 16, 4, 3, 1.5
TINY = [
    {"name": "linear", "hidden_dim": 8},
    {"name": "multiscale", "hidden_dim": 8, "kernel_frames": [1, 3]},
    {"name": "dilated", "hidden_dim": 8, "depth": 2},
    {"name": "dilated", "kind": "tcn", "hidden_dim": 16, "depth": 1, "causal": False},
    {"name": "attentive_dilated", "hidden_dim": 8, "dilations": [1, 2], "depth": 1},
    # Four frames a TR at the coarsest level: attention among a single one has nothing to learn.
    {"name": "hierarchical", "dims": [6, 8, 8], "pool_frames": [2, 2]},
    {"name": "transformer", "hidden_dim": 8, "depth": 1, "feedforward_dim": 16},
    {"name": "linear_attention", "hidden_dim": 8, "depth": 1, "feedforward_dim": 16},
    {"name": "linear_attention", "kind": "gated", "hidden_dim": 8, "n_heads": 2, "depth": 1},
    {"name": "conv_transformer", "conv_dim": 8, "hidden_dim": 8, "depth": 1},
]
# A constant added to every key changes no softmax over frames.
WITHOUT_EFFECT = {"attention": re.compile(r"aggregator\.keys\.\d+\.bias")}


def built(encoder, aggregator, position):
    torch.manual_seed(0)
    params = StreamParams(
        position=Part(name=position),
        encoder=Part(**encoder),
        aggregator=Part(name=aggregator),
        context_frames=CONTEXT,
    )
    return Stream(IN_DIM, N_FRAMES, DIM, params)


def two_steps(stream):
    """Loss before, between and after; the largest gradient that each parameter has had."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(2, 3, N_FRAMES + 2 * CONTEXT, IN_DIM, generator=generator)
    target = torch.randn(2, 3, DIM, generator=generator)
    optimizer, losses, largest = torch.optim.Adam(stream.parameters(), lr=1e-4), [], {}
    for _ in range(2):
        loss = mse_loss(stream(frames, TR_S), target)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        for name, parameter in stream.named_parameters():
            gradient = 0.0 if parameter.grad is None else parameter.grad.abs().max().item()
            # What begins at zero hides what comes before it until the second step.
            largest[name] = max(gradient, largest.get(name, 0.0))
        optimizer.step()
    return [*losses, mse_loss(stream(frames, TR_S), target).item()], largest


@pytest.mark.parametrize("encoder", TINY, ids=lambda encoder: "-".join(map(str, encoder.values())))
def test_two_steps_reach_every_parameter_and_lower_the_loss(encoder):
    for aggregator, position in itertools.product(AGGREGATORS.parts, POSITIONS.parts):
        losses, largest = two_steps(built(encoder, aggregator, position))
        assert losses[0] > losses[1] > losses[2], (aggregator, position)
        silent = WITHOUT_EFFECT.get(aggregator)
        unreached = [
            name
            for name, gradient in largest.items()
            if not gradient > 1e-7 and not (silent and silent.fullmatch(name))
        ]
        assert not unreached, (aggregator, position)


def test_no_encoder_is_left_out():
    assert {encoder["name"] for encoder in TINY} == set(ENCODERS.parts)
