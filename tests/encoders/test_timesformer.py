"""Divided attention against softmax over all pairs of patches with most of them masked."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from subtr.encoders.video import DividedBlock, TimesformerEncoder
from subtr.params import SettingsError


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def masked_attention(attention, patches, seen):
    """Softmax over all patches of all frames, with those not ``seen`` left out."""
    queries, keys, values = attention.queries_keys_values(patches).chunk(3, dim=-1)
    size, heads = patches.shape[-1] // attention.n_heads, []
    for head in range(attention.n_heads):
        of = slice(head * size, (head + 1) * size)
        scores = queries[..., of] @ keys[..., of].mT / math.sqrt(size)
        heads.append(scores.masked_fill(~seen, -math.inf).softmax(-1) @ values[..., of])
    return attention.output(torch.cat(heads, dim=-1))


def test_divided_attention_is_attention_among_the_same_patch_then_among_the_same_frame():
    torch.manual_seed(0)
    block = DividedBlock(12, 3, 20).double()
    patches = torch.randn(2, 5, 7, 12, dtype=torch.float64)
    tokens = patches.flatten(1, 2)
    frame = torch.arange(5).repeat_interleave(7)
    patch = torch.arange(7).repeat(5)
    normed = block.time_norm(tokens)
    tokens = tokens + masked_attention(block.time, normed, patch[:, None] == patch)
    inner = block.space
    normed = inner.attention_norm(tokens)
    tokens = tokens + masked_attention(inner.attention, normed, frame[:, None] == frame)
    first, _, _, second = inner.feedforward
    tokens = tokens + second(F.gelu(first(inner.feedforward_norm(tokens))))
    torch.testing.assert_close(block(patches).flatten(1, 2), tokens, rtol=1e-6, atol=1e-7)


def test_a_patch_sees_its_own_track_and_the_pictures_that_this_crosses():
    torch.manual_seed(0)
    attention = DividedBlock(8, 2, 16)
    patches = torch.randn(1, 4, 5, 8, requires_grad=True)
    weights = torch.arange(8.0).cos()
    (attention(patches)[0, 2, 3] * weights).sum().backward()
    # One block: every patch of the frame, each having seen itself at every other frame.
    assert (patches.grad[0].abs().sum(-1) > 0).all()
    patches.grad = None
    (attention.time(patches[:, :, 3])[0, 2] * weights).sum().backward()
    reached = patches.grad[0].abs().sum(-1) > 0
    assert reached[:, 3].all()
    assert reached.sum() == 4


def test_patches_are_pieces_of_the_picture_filled_up_with_zeros():
    torch.manual_seed(0)
    encoder = TimesformerEncoder(9, 16, patch_pixels=4, dim=8)
    picture = torch.rand(1, 1, 3, 9, 16)
    seen = []
    encoder.blocks.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    encoder(picture)
    assert seen[0].shape == (1, 1, 3 * 4, 8)
    last = torch.zeros(3, 4, 4)
    last[:, :1] = picture[0, 0, :, 8:, 12:]
    weight, bias = encoder.patches.weight, encoder.patches.bias
    frame_0 = torch.tensor([0.0, 1.0] * 4)  # sine and cosine of nothing
    expected = weight.flatten(1) @ last.flatten() + bias + encoder.places[11] + frame_0
    torch.testing.assert_close(seen[0][0, 0, 11], expected)


@torch.no_grad()
@pytest.mark.parametrize(
    ("positions", "tells_order"),
    [("absolute", True), ("rotary", True), ("relative", True), ("none", False)],
)
def test_order_is_told_by_positions_alone(positions, tells_order):
    torch.manual_seed(0)
    encoder = TimesformerEncoder(9, 16, dim=8, positions=positions)
    film = torch.rand(1, 8, 3, 9, 16)
    change = (encoder(film.flip(1))[0].flip(1) - encoder(film)[0]).abs().max()
    assert (change > 1e-3) == tells_order


def test_parameters_at_the_size_of_the_paper():
    size = {"patch_pixels": 16, "dim": 768, "n_heads": 12, "depth": 12, "feedforward_dim": 3072}
    with torch.device("meta"):
        encoder = TimesformerEncoder(224, 224, **size, hidden_dim=400, space="mean")
    block = 2 * (4 * 768**2 + 4 * 768) + 2 * 768 * 3072 + 3072 + 768 + 3 * 2 * 768
    assert count(encoder.blocks) == 12 * block
    ends = count(nn.Conv2d(3, 768, 16)) + 196 * 768 + 2 * 768 + count(nn.Linear(768, 400))
    # The map to 400 classes is counted.
    assert count(encoder) == 12 * block + ends == 114_471_568
    # With what the authors' code has more, a linear map after each attention in time, a class token
    # and its place, and 8 learned frames: 121.6 million, where the paper says 121.4.
    assert count(encoder) + 12 * count(nn.Linear(768, 768)) + (2 + 8) * 768 == 121_566_352
    assert count(TimesformerEncoder(36, 64)) == 443_328


def test_heads_that_do_not_divide_the_features_are_refused():
    with pytest.raises(SettingsError, match="n_heads = 4: 10 features do not divide"):
        TimesformerEncoder(9, 16, dim=10)
