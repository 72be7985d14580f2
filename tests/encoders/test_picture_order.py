"""Whether a mean over the latents of a TR still tells a film from the same film backwards."""

import pytest
import torch

from subtr.encoders import PICTURE_ENCODERS

ROWS = [
    ("frame2d", {}, False),
    ("two_stream", {}, True),
    ("two_stream", {"motion": "flow"}, True),
    ("flow", {}, True),
    ("i3d", {"start": "random"}, True),
    # A kernel whose taps are all the same knows no before and after; the two are learned.
    ("i3d", {}, False),
    ("s3d", {}, True),
    ("s3d", {"time_strides": (1, 2, 2), "space": "mean"}, True),
    ("s3d", {"kernel_frames": 1}, False),
    ("i3d_inception", {"slimming": 8}, True),
    ("s3d_inception", {"slimming": 8}, True),
    ("slowfast", {}, True),
    ("timesformer", {}, True),
    ("timesformer", {"positions": "none"}, False),
]


@pytest.mark.parametrize(("name", "options", "tells_order"), ROWS)
@torch.no_grad()
def test_order_within_a_tr_reaches_the_mean_of_the_latents(name, options, tells_order):
    torch.manual_seed(0)
    encoder = PICTURE_ENCODERS.build(name, 18, 32, **options).eval()
    film = torch.rand(1, 8, 3, 18, 32)
    change = 0.0
    for there, back in zip(encoder(film), encoder(film.flip(1)), strict=True):
        size = there.mean(1).norm()
        change = max(change, float((there.mean(1) - back.mean(1)).norm() / size))
    assert change > 1e-3 if tells_order else change < 1e-5


def test_no_picture_encoder_is_without_a_row():
    assert {name for name, _, _ in ROWS} == set(PICTURE_ENCODERS.parts)
