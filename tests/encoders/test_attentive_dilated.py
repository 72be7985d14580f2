"""Parallel dilated convolutions and each kind of attention, written out."""

import pytest
import torch
import torch.nn.functional as F

from subtr.encoders.dilated import AttentiveDilatedEncoder
from subtr.params import SettingsError

KINDS = ["time", "channel", "estimate", "none"]


def built(attention, **options):
    torch.manual_seed(0)
    encoder = AttentiveDilatedEncoder(3, hidden_dim=8, attention=attention, **options)
    return encoder.double().eval()


def frames(n_frames=30):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, n_frames, 3, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_scales_are_dilated_convolutions_side_by_side(causal):
    encoder, given = built("none", causal=causal, depth=1), frames()
    latents = given @ encoder.input.weight[..., 0].T + encoder.input.bias
    scales = []
    for branch, dilation in zip(encoder.scales[0].branches, (1, 2, 4, 8), strict=True):
        taps = torch.zeros_like(latents) + branch.convolution.bias
        for tap in range(3):
            # How far this tap looks back; a centred kernel looks forward by as much.
            back = (2 - tap if causal else 1 - tap) * dilation
            moved = torch.zeros_like(latents)
            if back > 0:
                moved[:, back:] = latents[:, :-back]
            elif back < 0:
                moved[:, :back] = latents[:, -back:]
            else:
                moved = latents
            taps = taps + moved @ branch.convolution.weight[..., tap].T
        scales.append(taps)
    fusion = encoder.scales[0].fusion
    fused = torch.cat(scales, dim=-1) @ fusion.weight[..., 0].T + fusion.bias
    expected = latents + F.gelu(F.layer_norm(fused, (8,)))
    torch.testing.assert_close(encoder(given)[0], expected)


@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_each_attention_written_out(causal):
    given = frames()
    for kind in ("time", "channel", "estimate"):
        encoder = built(kind, causal=causal, depth=1)
        attention = encoder.attentions[0]
        latents = encoder.scales[0](encoder.input(given.mT)).mT
        if kind == "time":
            expected = latents + attention.attention(F.layer_norm(latents, (8,)))
        elif kind == "channel":
            means = [latents[:, : t + 1 if causal else None].mean(1) for t in range(30)]
            expected = latents * attention.gate(torch.stack(means, dim=1)).sigmoid()
        else:

            def map_of(layer, of):
                return of @ layer.weight[..., 0].T + layer.bias

            estimate = given + map_of(attention.estimate, latents)
            gate = map_of(attention.gate, estimate).sigmoid()
            expected = latents + map_of(attention.kept, latents) * gate
        torch.testing.assert_close(encoder(given)[0], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_later_changes_nothing_unless_it_may(kind):
    given = frames()
    later = torch.cat([given[:, :15], given[:, 15:].flip(1)], dim=1)
    for causal in (True, False):
        encoder = built(kind, causal=causal)
        change = (encoder(given)[0] - encoder(later)[0])[:, :15].abs().amax((0, 2))
        assert (change[-1] > 1e-6) == (not causal)
        assert not causal or change.max() < 1e-12


def test_parameters():
    counts = {
        kind: sum(
            p.numel()
            for p in AttentiveDilatedEncoder(128, hidden_dim=256, attention=kind).parameters()
        )
        for kind in KINDS
    }
    # Attention is the light part, as the paper says of its own.
    assert counts == {
        "time": 2_661_120,
        "channel": 2_199_936,
        "estimate": 2_397_184,
        "none": 2_133_760,
    }


def test_heads_that_do_not_divide_the_features_are_refused():
    with pytest.raises(SettingsError, match="n_heads = 3: 8 features do not divide"):
        built("time", n_heads=3)
