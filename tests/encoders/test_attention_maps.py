"""Attention maps are the weights by which the layers themselves mix frames."""

import pytest
import torch
from einops import rearrange

from subtr.encoders.attention import TransformerEncoder, attention_maps
from subtr.encoders.convolutional import LinearEncoder
from subtr.params import SettingsError


@pytest.mark.parametrize("positions", ["rotary", "absolute", "none"])
@pytest.mark.parametrize("causal", [False, True])
def test_mixing_values_by_the_maps_gives_what_the_layer_gives(positions, causal):
    torch.manual_seed(0)
    encoder = TransformerEncoder(
        3, hidden_dim=8, n_heads=2, depth=2, positions=positions, causal=causal
    ).eval()
    seen = []
    for block in encoder.blocks[:2]:
        block.attention.register_forward_hook(lambda layer, given, out: seen.append((*given, out)))
    maps = attention_maps(encoder, torch.randn(4, 6, 3))
    assert len(maps) == 2
    for block, found, (frames, out) in zip(encoder.blocks, maps, seen, strict=False):
        layer = block.attention
        values = rearrange(layer.queries_keys_values(frames)[..., 16:], "b t (h d) -> b h t d", h=2)
        mixed = layer.output(rearrange(found @ values, "b h t d -> b t (h d)"))
        torch.testing.assert_close(mixed, out)
        torch.testing.assert_close(found.sum(-1), torch.ones(4, 2, 6))
        assert bool((found.triu(1) > 0).any()) is not causal


def test_it_leaves_no_trace():
    encoder = TransformerEncoder(3, hidden_dim=8, n_heads=2, depth=1)
    attention_maps(encoder, torch.randn(1, 4, 3))
    assert not encoder.blocks[0].attention._forward_pre_hooks


def test_an_encoder_without_attention_is_refused():
    with pytest.raises(SettingsError, match="LinearEncoder has no attention over frames"):
        attention_maps(LinearEncoder(3), torch.randn(1, 4, 3))
