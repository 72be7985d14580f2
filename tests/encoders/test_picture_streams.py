"""Any picture encoder with any aggregator is a stream that learns, with or without context."""

import re

import pytest
import torch
from torch.nn.functional import mse_loss

from subtr.aggregators import AGGREGATORS
from subtr.encoders import PICTURE_ENCODERS
from subtr.models.stream import Part, Stream, StreamParams

N_FRAMES, DIM, TR_S = 8, 3, 1.5
TINY = [
    {"name": "frame2d", "channels": [4, 6], "hidden_dim": 8},
    {"name": "two_stream", "channels": [4], "motion_channels": [4], "hidden_dim": 8},
    {"name": "flow", "channels": [4], "hidden_dim": 8},
    {"name": "i3d", "channels": [4, 6], "hidden_dim": 8},
    {"name": "s3d", "channels": [4, 6], "hidden_dim": 8, "time_strides": [1, 2]},
    {"name": "i3d_inception", "slimming": 8, "hidden_dim": 8, "time_strides": [2, 2, 1]},
    {"name": "s3d_inception", "slimming": 8, "hidden_dim": 8, "time_strides": [1, 2, 2]},
    {"name": "slowfast", "blocks": [1, 1], "slow_features": 4, "hidden_dims": [6, 8]},
    {"name": "timesformer", "dim": 8, "depth": 1, "feedforward_dim": 16, "hidden_dim": 8},
]
# A constant added to every key changes no softmax over frames.
WITHOUT_EFFECT = {"attention": re.compile(r"aggregator\.keys\.\d+\.bias")}


@pytest.mark.parametrize("context_frames", [0, 4])
@pytest.mark.parametrize("encoder", TINY, ids=lambda encoder: encoder["name"])
def test_two_steps_reach_every_parameter_and_lower_the_loss(encoder, context_frames):
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(2, 3, N_FRAMES + 2 * context_frames, 3, 9, 16, generator=generator)
    target = torch.randn(2, 3, DIM, generator=generator)
    for aggregator in AGGREGATORS.parts:
        torch.manual_seed(0)
        params = StreamParams(
            encoder=Part(**encoder), aggregator=Part(name=aggregator), context_frames=context_frames
        )
        stream = Stream((9, 16), N_FRAMES, DIM, params)
        optimizer = torch.optim.Adam(stream.parameters(), lr=1e-4)
        losses, largest = [], {}
        for _ in range(3):
            loss = mse_loss(stream(pictures, TR_S), target)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            for name, parameter in stream.named_parameters():
                gradient = 0.0 if parameter.grad is None else parameter.grad.abs().max().item()
                largest[name] = max(gradient, largest.get(name, 0.0))
            optimizer.step()
        assert losses[0] > losses[1] > losses[2], aggregator
        silent = WITHOUT_EFFECT.get(aggregator, re.compile("$^"))
        unreached = [name for name, most in largest.items() if not most > 1e-7]
        assert not [name for name in unreached if not silent.fullmatch(name)], aggregator


def test_no_picture_encoder_is_left_out():
    assert {encoder["name"] for encoder in TINY} == set(PICTURE_ENCODERS.parts)
