"""Dilated stacks against loops over frames that follow the papers' equations."""

import pytest
import torch
from torch import nn

from subtr.encoders.dilated import DilatedEncoder


def tap_by_tap(conv, signal, dilation):
    """A causal dilated convolution of (feature, frame) as a sum over taps and frames."""
    n_taps = conv.weight.shape[-1]
    result = conv.bias[:, None].repeat(1, signal.shape[1])
    for frame in range(signal.shape[1]):
        for tap in range(n_taps):
            source = frame - (n_taps - 1 - tap) * dilation
            if source >= 0:
                result[:, frame] += conv.weight[..., tap] @ signal[:, source]
    return result


def one_by_one(conv, signal):
    return conv.weight[..., 0] @ signal + conv.bias[:, None]


def built(seed=0, **options):
    torch.manual_seed(seed)
    return DilatedEncoder(3, hidden_dim=4, **options).double().eval()


@torch.no_grad()
def test_wavenet_follows_its_equation():
    encoder = built(depth=3, stacks=2, kernel_frames=3)
    frames = torch.randn(1, 25, 3, dtype=torch.float64)
    stack = encoder.stack
    signal, skips = one_by_one(stack.input, frames[0].T), 0
    for layer, dilation in zip(stack.layers, [1, 2, 4, 1, 2, 4], strict=True):
        both = tap_by_tap(layer.convolution.convolution, signal, dilation)
        gated = both[:4].tanh() / (1 + (-both[4:]).exp())
        skips = skips + one_by_one(layer.skip, gated)
        if layer.residual is not None:
            signal = signal + one_by_one(layer.residual, gated)
    inner = one_by_one(stack.output[1], skips.clamp(min=0)).clamp(min=0)
    expected = one_by_one(stack.output[3], inner)
    torch.testing.assert_close(encoder(frames)[0][0], expected.T)


@torch.no_grad()
def test_tcn_follows_its_figure():
    encoder = built(kind="tcn", depth=3)
    frames = torch.randn(1, 25, 3, dtype=torch.float64)
    signal = frames[0].T
    for block, dilation in zip(encoder.stack, [1, 2, 4], strict=True):
        inner = tap_by_tap(block.first.convolution, signal, dilation).clamp(min=0)
        inner = tap_by_tap(block.second.convolution, inner, dilation).clamp(min=0)
        same = isinstance(block.shortcut, nn.Identity)
        signal = (inner + (signal if same else one_by_one(block.shortcut, signal))).clamp(min=0)
    torch.testing.assert_close(encoder(frames)[0][0], signal.T)


@pytest.mark.parametrize(("kind", "n_frames"), [("wavenet", 1024), ("tcn", 2047)])
def test_the_receptive_field_of_ten_layers_is_the_papers(kind, n_frames):
    # Dilations 1 to 512 with kernels of two frames: 1024 frames, van den Oord et al., section 2.1.
    field_s = DilatedEncoder(2, kind=kind, hidden_dim=2, depth=10).receptive_field_s(1.0)
    assert field_s == [n_frames]


@pytest.mark.parametrize("kind", ["wavenet", "tcn"])
def test_what_comes_later_changes_nothing_unless_it_may(kind):
    frames = torch.randn(1, 30, 3, dtype=torch.float64)
    later = torch.cat([frames[:, :15], torch.randn(1, 15, 3, dtype=torch.float64)], dim=1)
    for causal in (True, False):
        encoder = built(kind=kind, causal=causal, depth=3, kernel_frames=3)
        change = (encoder(frames)[0] - encoder(later)[0])[:, :15].abs().amax((0, 2))
        assert (change[-1] > 1e-6) == (not causal)
        assert not causal or change.max() == 0


def test_parameters():
    def count(encoder):
        return sum(parameter.numel() for parameter in encoder.parameters())

    # 128 mel bands to 256 features, dilations 1 to 16.
    assert count(DilatedEncoder(128, hidden_dim=256)) == 2_070_016
    assert count(DilatedEncoder(128, hidden_dim=256, kind="tcn")) == 1_283_328


def test_dropout_takes_whole_features_and_only_in_training():
    torch.manual_seed(0)
    encoder = DilatedEncoder(3, hidden_dim=8, kind="tcn", depth=1, dropout=0.5)
    frames = torch.randn(1, 20, 3)
    assert not torch.equal(encoder(frames)[0], encoder(frames)[0])
    dropped = encoder.stack[0].dropout(torch.ones(1, 64, 20))[0]
    assert set(dropped.mean(1).tolist()) == {0.0, 2.0}
    encoder.eval()
    assert torch.equal(encoder(frames)[0], encoder(frames)[0])
