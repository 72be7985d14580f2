"""The published networks to the last parameter, and the layers that they are made of."""

import pytest
import torch
from torch import nn

from subtr.encoders.inception import (
    I3dInceptionEncoder,
    InceptionBlock,
    S3dInceptionEncoder,
    Unit,
    VideoPooling,
)
from subtr.params import SettingsError

PUBLISHED = {
    "time_strides": (2, 2, 2),
    "slimming": 1,
    "hidden_dim": 400,
    "space": "mean",
    "norm": "batch",
    "activation": "relu",
}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("network", "whole"), [(I3dInceptionEncoder, 12_697_264), (S3dInceptionEncoder, 8_320_048)]
)
def test_the_parameters_of_the_published_networks(network, whole):
    encoder = network(224, 224, **PUBLISHED)
    assert count(encoder) == whole
    assert count(encoder) - count(encoder.vector) == whole - 400 * 1025
    # 1024 features of 7 x 7 pixels, every 8 frames.
    blocks = [layer.out_dim for layer in encoder.blocks if isinstance(layer, InceptionBlock)]
    assert blocks == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    assert encoder.frame_hz(64.0) == [8]


def test_published_strides_leave_7_by_7_pixels():
    encoder = S3dInceptionEncoder(224, 224, **PUBLISHED | {"slimming": 8, "hidden_dim": 0}).eval()
    with torch.no_grad():
        left = encoder.blocks(torch.rand(1, 3, 8, 224, 224))
    assert left.shape == (1, 128, 1, 7, 7)


def test_a_separable_unit_is_the_kernel_of_pixels_then_that_of_frames():
    torch.manual_seed(0)
    unit = Unit(2, 3, 3, "none", "relu", separable=True, stride=2, stride_pixels=2)
    pixels, frames = (of.convolution for of in unit.layers if hasattr(of, "convolution"))
    film = torch.rand(1, 2, 6, 9, 16)
    seen = nn.functional.conv3d(film, pixels.weight, padding=(0, 1, 1), stride=(1, 2, 2)).relu()
    seen = nn.functional.pad(seen, (0, 0, 0, 0, 1, 0))
    expected = nn.functional.conv3d(seen, frames.weight, stride=(2, 1, 1)).relu()
    torch.testing.assert_close(unit(film), expected)


@pytest.mark.parametrize(
    ("kernel", "stride"), [((3, 3), (1, 1)), ((1, 3), (1, 2)), ((2, 2), (2, 2))]
)
def test_pooling_takes_the_largest_value_around(kernel, stride):
    film = torch.randn(1, 2, 6, 8, 12) - 10  # zeros at the borders would win
    found = VideoPooling(*kernel, *stride)(film)
    padding = [(size - 1) // 2 for size in kernel]
    wanted = nn.functional.max_pool3d(
        film,
        (kernel[0], kernel[1], kernel[1]),
        (stride[0], stride[1], stride[1]),
        (padding[0], padding[1], padding[1]),
    )
    assert torch.equal(found, wanted)


def test_odd_numbers_of_pixels_are_rounded_up():
    assert VideoPooling(2, 2, 2, 2)(torch.zeros(1, 1, 4, 5, 3)).shape == (1, 1, 2, 3, 2)


def test_a_block_keeps_frames_and_pixels_and_puts_its_branches_side_by_side():
    torch.manual_seed(0)
    block = InceptionBlock(4, (1, 2, 3, 2, 5, 2), "layer", "gelu", separable=True)
    film = torch.rand(1, 4, 5, 6, 7)
    found = block(film)
    assert found.shape == (1, block.out_dim, 5, 6, 7)
    torch.testing.assert_close(found[:, :1], block.branches[0](film))
    torch.testing.assert_close(found[:, -2:], block.branches[3](film))


def test_strides_longer_than_kernels_are_refused():
    with pytest.raises(SettingsError, match=r"time_strides = \(1, 4, 1\): expected 3 numbers"):
        I3dInceptionEncoder(36, 64, time_strides=(1, 4, 1))
    with pytest.raises(SettingsError, match="7 frames cannot be taken 2 at a time"):
        S3dInceptionEncoder(36, 64, slimming=8, time_strides=(2, 1, 1))(
            torch.zeros(1, 7, 3, 36, 64)
        )
