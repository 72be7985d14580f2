"""The separable network against the report's, layer by layer, and its sizes."""

import pytest
import torch
from torch import nn

from subtr.encoders.inception import S3dEncoder
from subtr.params import SettingsError

REPORT = {
    "channels": (64, 128, 256, 512),
    "time_strides": (1, 2, 2, 2),
    "hidden_dim": 1024,
    "space": "mean",
    "norm": "batch",
    "activation": "relu",
}


def reports_network(channels, strides, out_dim):
    """Section 6.3 of the report, up to its map."""
    layers, before = [], 3
    for after, stride in zip(channels, strides, strict=True):
        layers += [
            nn.Conv3d(before, after, (1, 3, 3), (1, 2, 2), (0, 1, 1)),
            nn.BatchNorm3d(after),
            nn.ReLU(),
            nn.Conv3d(after, after, (3, 1, 1), (stride, 1, 1), (1, 0, 0)),
            nn.BatchNorm3d(after),
            nn.ReLU(),
        ]
        before = after
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool3d((1, None, None)),
        nn.Flatten(1, 2),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Linear(before, out_dim),
    )


def test_encoder_and_mean_over_time_compute_the_reports_network():
    torch.manual_seed(0)
    small = {"channels": (4, 6), "time_strides": (1, 2), "hidden_dim": 5}
    encoder = S3dEncoder(9, 16, **REPORT | small)
    report = reports_network((4, 6), (1, 2), 5)
    # Both states list the layers in the same order under names of their own.
    mine, theirs = encoder.state_dict(), report.state_dict()
    encoder.load_state_dict(dict(zip(mine, theirs.values(), strict=True)))
    pictures = torch.rand(2, 8, 3, 9, 16)
    (latents,) = encoder(pictures)
    assert latents.shape == (2, 4, 5)
    torch.testing.assert_close(latents.mean(1), report(pictures.transpose(1, 2)))


def test_the_parameters_of_the_reports_network():
    encoder = S3dEncoder(90, 160, **REPORT)
    count = sum(parameter.numel() for parameter in encoder.parameters())
    # The report counts the weights of the convolutions and the map: 3.1 million. With the biases of
    # the convolutions, the batch norms and the bias of the map there are 3,125,568.
    weights = sum(p.numel() for p in encoder.parameters() if p.ndim > 1)
    assert (weights, count) == (3_118_784, 3_125_568)
    assert count - sum(p.numel() for p in encoder.vector.parameters()) == 2_600_256
    assert sum(p.numel() for p in S3dEncoder(36, 64).parameters()) == 368_080


def test_latents_of_the_reports_network_come_every_8_frames_and_see_17():
    encoder = S3dEncoder(9, 16, **REPORT)
    assert encoder.frame_hz(64.0) == [8]
    # 1 + 2 * (1 + 1 + 2 + 4): the strides before each kernel of 3.
    assert encoder.receptive_field_s(1.0) == [17]


def test_strides_that_do_not_fit_are_refused():
    with pytest.raises(SettingsError, match=r"time_strides = \(1, 2\): expected 3 numbers"):
        S3dEncoder(9, 16, time_strides=(1, 2))
    with pytest.raises(SettingsError, match="kernel of 3 frames with stride 4 would skip"):
        S3dEncoder(9, 16, channels=(4,), time_strides=(4,))
    with pytest.raises(SettingsError, match="7 frames cannot be taken 2 at a time"):
        S3dEncoder(9, 16, channels=(4,), time_strides=(2,))(torch.zeros(1, 7, 3, 9, 16))


def test_differences_hide_all_that_rests_and_scale_with_what_moves():
    torch.manual_seed(0)
    options = {"channels": (4,), "kernel_frames": 1, "hidden_dim": 0, "space": "mean"}
    encoder = S3dEncoder(
        9, 16, **options, norm="none", activation="relu", shown="differences"
    ).requires_grad_(False)
    encoder.blocks[0].convolution.bias.zero_()
    encoder.blocks[3].convolution.bias.zero_()
    film = torch.rand(2, 5, 3, 9, 16)
    (moving,), (resting,) = encoder(film), encoder(film[:, :1].expand_as(film))
    assert moving[:, 1:].abs().max() > 0.01
    assert not resting.any()
    assert not moving[:, 0].any()
    # Another scene that moves in the same way, and one of twice the contrast.
    (brighter,), (stronger,) = encoder(film + torch.rand(3, 9, 16)), encoder(2 * film)
    torch.testing.assert_close(brighter, moving)
    torch.testing.assert_close(stronger, 2 * moving)
    assert encoder.receptive_field_s(5.0) == [2 / 5.0]
