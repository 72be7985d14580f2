"""What every encoder promises, measured: its sizes, its rates and how far in time it sees."""

import math

import pytest
import torch

from subtr.encoders import ENCODERS, PICTURE_ENCODERS
from subtr.encoders.video import FlowEncoder, flow_pictures

FRAME_HZ = 40.0
IN_DIM, N_FRAMES = 6, 96
# At least a row for each encoder; the second column is what a params file would say.
ROWS = [
    ("linear", {"hidden_dim": 5}),
    ("linear", {"hidden_dim": 0}),
    ("multiscale", {"hidden_dim": 8}),
    ("multiscale", {"hidden_dim": 8, "kernel_frames": (1, 5), "depth": 3, "block_frames": 7}),
    ("multiscale", {"hidden_dim": 8, "depth": 0}),
    ("multiscale", {"hidden_dim": 8, "activation": "relu", "norm": "none"}),
    ("multiscale", {"hidden_dim": 8, "separable": True, "depth": 2}),
    ("multiscale", {"hidden_dim": 8, "norm": "group"}),
    ("dilated", {"hidden_dim": 8}),
    ("dilated", {"hidden_dim": 8, "kernel_frames": 4, "depth": 3, "stacks": 2, "causal": False}),
    ("dilated", {"hidden_dim": 16, "kind": "tcn", "depth": 4}),
    ("dilated", {"hidden_dim": 16, "kind": "tcn", "depth": 3, "causal": False}),
    ("attentive_dilated", {"hidden_dim": 8}),
    ("attentive_dilated", {"hidden_dim": 8, "attention": "channel", "causal": False}),
    ("attentive_dilated", {"hidden_dim": 8, "attention": "channel", "dilations": (1,)}),
    ("attentive_dilated", {"hidden_dim": 8, "attention": "estimate", "dilations": (1, 3)}),
    ("attentive_dilated", {"hidden_dim": 8, "attention": "none", "depth": 3, "causal": False}),
    ("hierarchical", {"dims": (8, 6, 8), "pool_frames": (4, 4)}),
    ("hierarchical", {"dims": (8, 6, 8, 4), "pool_frames": (2, 3, 4), "causal": True}),
    ("hierarchical", {"dims": (8, 16), "pool_frames": (8,), "norm": "group"}),
    ("transformer", {"hidden_dim": 8}),
    ("transformer", {"hidden_dim": 8, "positions": "rotary", "causal": True, "pre_norm": False}),
    ("transformer", {"hidden_dim": 8, "positions": "none", "activation": "relu"}),
    ("linear_attention", {"hidden_dim": 8}),
    ("linear_attention", {"hidden_dim": 8, "causal": True, "positions": "none"}),
    ("linear_attention", {"hidden_dim": 8, "kind": "gated"}),
    ("linear_attention", {"hidden_dim": 8, "kind": "gated", "causal": True}),
    ("conv_transformer", {"conv_dim": 6, "hidden_dim": 8, "keep_convolutions": True}),
    ("conv_transformer", {"hidden_dim": 8, "kernel_frames": (5, 3, 1), "strides": (3, 2, 1)}),
    (
        "conv_transformer",
        {"conv_dim": 6, "hidden_dim": 8, "keep_convolutions": True, "causal": True}
        | {"pre_norm": False},
    ),
]
PICTURE_ROWS = [
    ("frame2d", {"hidden_dim": 5}),
    ("frame2d", {"channels": (4,)}),
    ("two_stream", {"hidden_dim": 5}),
    ("two_stream", {"channels": (4,), "motion_channels": (4, 6), "fusion": "mean"}),
    ("two_stream", {"hidden_dim": 5, "fusion": "concatenate"}),
    ("two_stream", {"channels": (4,), "motion_channels": (4,), "motion": "flow"}),
    ("flow", {"channels": (4,), "hidden_dim": 5}),
    ("i3d", {"hidden_dim": 5}),
    ("i3d", {"channels": (4, 6), "kernel_frames": 4, "start": "random"}),
    ("s3d", {"hidden_dim": 5}),
    ("s3d", {"channels": (4, 6), "time_strides": (2, 3), "kernel_frames": 4, "hidden_dim": 0}),
    ("s3d", {"channels": (4, 6, 8), "time_strides": (1, 2, 2), "space": "mean"}),
    ("i3d_inception", {"slimming": 4, "hidden_dim": 5}),
    ("s3d_inception", {"slimming": 4, "hidden_dim": 0, "time_strides": (1, 1, 2)}),
    ("slowfast", {"slow_features": 8, "fast_share": 2, "hidden_dims": (5, 6)}),
    ("slowfast", {"slow_features": 8, "slow_frames": 8, "blocks": (1, 1), "space": "mean"}),
    ("timesformer", {"dim": 8, "feedforward_dim": 16, "hidden_dim": 5}),
    ("timesformer", {"dim": 8, "patch_pixels": 4, "space": "mean", "positions": "none"}),
]


def frames(seed=0, batch=2):
    return torch.randn(batch, N_FRAMES, IN_DIM, generator=torch.Generator().manual_seed(seed))


def built(name, options):
    torch.manual_seed(0)
    if name in PICTURE_ENCODERS.parts:
        return PICTURE_ENCODERS.build(name, 9, 16, **options).eval()
    return ENCODERS.build(name, IN_DIM, **options).eval()


def shown(name):
    if name in PICTURE_ENCODERS.parts:
        return torch.rand(2, 48, 3, 9, 16, generator=torch.Generator().manual_seed(0))
    return frames()


@pytest.mark.parametrize(("name", "options"), ROWS + PICTURE_ROWS)
def test_levels_are_as_large_and_as_fast_as_stated(name, options):
    encoder, given = built(name, options), shown(name)
    levels = encoder(given)
    assert [level.shape[2] for level in levels] == list(encoder.level_dims)
    for level, hz in zip(levels, encoder.frame_hz(FRAME_HZ), strict=True):
        assert level.shape[1] == given.shape[1] * hz / FRAME_HZ


def changing_frames(encoder, given, level, frame):
    """The same without gradients: optical flow lets none through."""
    latent, reached = encoder(given)[level][0, frame], []
    for changed in range(frame - 3, frame + 4):  # flow is dear; further off nothing is near enough
        other = given.clone()
        other[:, changed] = other[:, changed].flip(-1)
        if not torch.allclose(encoder(other)[level][0, frame], latent, atol=1e-4):
            reached.append(changed)
    return reached[0], reached[-1]


def seen_frames(encoder, given, level, frame):
    """First and last frame of the input that change one latent of one level."""
    if isinstance(encoder, FlowEncoder) or getattr(encoder, "moved", None) is flow_pictures:
        return changing_frames(encoder, given[:1, : frame + 4], level, frame)
    given = given.clone().requires_grad_()
    latent = encoder(given)[level][0, frame]
    # Unequal weights: a norm keeps the sum and the sum of squares of a frame as they are.
    (latent * torch.arange(1.0, len(latent) + 1).cos()).sum().backward()
    reached = given.grad[0].flatten(1).abs().sum(1).nonzero()[:, 0]
    return int(reached[0]), int(reached[-1])


@pytest.mark.parametrize(("name", "options"), ROWS + PICTURE_ROWS)
def test_the_receptive_field_is_the_one_stated(name, options):
    encoder, given = built(name, options), shown(name)
    stated_s, n_frames = encoder.receptive_field_s(FRAME_HZ), given.shape[1]
    causal = getattr(encoder, "causal", False)
    for level, (field_s, hz) in enumerate(zip(stated_s, encoder.frame_hz(FRAME_HZ), strict=True)):
        n_latents = encoder(given)[level].shape[1]
        frame = n_latents - 1 if causal else n_latents // 2
        first, last = seen_frames(encoder, given, level, frame)
        if math.isinf(field_s):  # all of the window, whatever its length
            assert (first, last) == (0, n_frames - 1)
        else:
            assert last - first + 1 == pytest.approx(field_s * FRAME_HZ)
        if causal:  # nothing after the frames that a latent stands for
            middle = n_latents // 2
            _, last = seen_frames(encoder, given, level, middle)
            assert last == round((middle + 1) * FRAME_HZ / hz) - 1
    assert encoder.receptive_field_s(2 * FRAME_HZ) == pytest.approx([s / 2 for s in stated_s])


@pytest.mark.parametrize(("name", "options"), ROWS + PICTURE_ROWS)
def test_other_numbers_of_frames_are_taken_as_they_come(name, options):
    encoder, given = built(name, options), shown(name)[:1]
    for n_frames in (given.shape[1] // 2, 2 * given.shape[1]):
        levels = encoder(torch.cat([given, given], dim=1)[:, :n_frames])
        for level, hz in zip(levels, encoder.frame_hz(FRAME_HZ), strict=True):
            assert level.shape[1] == n_frames * hz / FRAME_HZ
            assert level.isfinite().all()


@pytest.mark.parametrize(("name", "options"), ROWS + PICTURE_ROWS)
def test_gradients_reach_every_parameter(name, options):
    encoder, given = built(name, options).train(), shown(name)
    generator = torch.Generator().manual_seed(1)
    loss = 0.0
    for level in encoder(given):
        loss = loss + (level - torch.randn(level.shape, generator=generator)).square().mean()
    if not loss.requires_grad:
        assert not list(encoder.parameters())
        return
    loss.backward()
    for parameter_name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().max() > 1e-7, parameter_name


@pytest.mark.parametrize(("name", "options"), ROWS + PICTURE_ROWS)
def test_windows_of_a_batch_do_not_mix(name, options):
    encoder, given = built(name, options), shown(name)
    for both, alone in zip(encoder(given), encoder(given[1:]), strict=True):
        torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "options"), [ROWS[0], ROWS[1], *PICTURE_ROWS[:2]])
def test_encoders_that_know_no_time_take_frames_in_any_order(name, options):
    encoder, given = built(name, options), shown(name)
    order = torch.randperm(given.shape[1], generator=torch.Generator().manual_seed(1))
    for level, mixed in zip(encoder(given), encoder(given[:, order]), strict=True):
        torch.testing.assert_close(level[:, order], mixed, rtol=1e-4, atol=1e-5)


def test_a_linear_encoder_without_features_of_its_own_hands_frames_on():
    given = frames()
    assert torch.equal(built("linear", {"hidden_dim": 0})(given)[0], given)


def test_no_encoder_is_without_a_row():
    assert {name for name, _ in ROWS} == set(ENCODERS.parts)
    assert {name for name, _ in PICTURE_ROWS} == set(PICTURE_ENCODERS.parts)
