"""The transformer against softmax written out, PyTorch's own layer and complex rotations."""

import math

import pytest
import torch
from torch import nn

from subtr.encoders.attention import SoftmaxAttention, TransformerEncoder, rotated, sinusoids
from subtr.params import SettingsError


def plain_attention(attention, frames):
    """Softmax of all scores of all frames, head by head."""
    queries, keys, values = attention.queries_keys_values(frames).chunk(3, dim=-1)
    size = queries.shape[-1] // attention.n_heads
    heads = []
    for head in range(attention.n_heads):
        of = slice(head * size, (head + 1) * size)
        query, key = queries[..., of], keys[..., of]
        if attention.rotary:
            query, key = by_complex_numbers(query), by_complex_numbers(key)
        scores = query @ key.transpose(1, 2) / math.sqrt(size)
        if attention.causal:
            later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(later, -math.inf)
        heads.append(scores.softmax(dim=-1) @ values[..., of])
    return attention.output(torch.cat(heads, dim=-1))


def by_complex_numbers(features):
    """Rotary positions of (batch, frame, feature): pairs as complex numbers, times e^(i angle)."""
    n_frames, dim = features.shape[1:]
    numbers = torch.view_as_complex(features.unflatten(-1, (dim // 2, 2)).contiguous())
    rates = torch.tensor([10_000 ** (-2 * pair / dim) for pair in range(dim // 2)])
    angle = torch.arange(n_frames, dtype=torch.float64)[:, None] * rates.double()
    return torch.view_as_real(numbers * torch.polar(torch.ones_like(angle), angle)).flatten(-2)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("rotary", [False, True])
def test_fused_attention_is_softmax_attention(causal, rotary):
    torch.manual_seed(0)
    attention = SoftmaxAttention(12, 3, causal=causal, rotary=rotary).double()
    frames = torch.randn(2, 17, 12, dtype=torch.float64)
    torch.testing.assert_close(
        attention(frames), plain_attention(attention, frames), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_block_is_pytorchs_own_layer(pre_norm, activation):
    torch.manual_seed(0)
    encoder = TransformerEncoder(5, hidden_dim=8, depth=1, pre_norm=pre_norm, activation=activation)
    block = encoder.blocks[0].eval()
    layer = nn.TransformerEncoderLayer(
        8, 4, 256, activation=activation, batch_first=True, norm_first=pre_norm
    ).eval()
    mine = {
        "self_attn.in_proj_weight": block.attention.queries_keys_values.weight,
        "self_attn.in_proj_bias": block.attention.queries_keys_values.bias,
        "self_attn.out_proj.weight": block.attention.output.weight,
        "self_attn.out_proj.bias": block.attention.output.bias,
        "linear1.weight": block.feedforward[0].weight,
        "linear1.bias": block.feedforward[0].bias,
        "linear2.weight": block.feedforward[3].weight,
        "linear2.bias": block.feedforward[3].bias,
        "norm1.weight": block.attention_norm.weight,
        "norm1.bias": block.attention_norm.bias,
        "norm2.weight": block.feedforward_norm.weight,
        "norm2.bias": block.feedforward_norm.bias,
    }
    layer.load_state_dict(mine)
    frames = torch.randn(2, 9, 8)
    torch.testing.assert_close(block(frames), layer(frames), rtol=1e-4, atol=1e-5)


def test_rotary_scores_depend_on_distance_alone():
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, 6, dtype=torch.float64)
    turned_query, turned_key = (rotated(x.expand(1, 1, 40, 6))[0, 0] for x in (query, key))
    scores = turned_query @ turned_key.T
    for distance in (-7, 0, 3):
        of_distance = scores.diagonal(distance)
        torch.testing.assert_close(of_distance, of_distance[:1].expand_as(of_distance))
    assert scores[0].std() > 0.1
    torch.testing.assert_close(turned_query.norm(dim=-1), query.flatten().norm().expand(40))


@pytest.mark.parametrize("dim", [6, 7])
def test_absolute_positions_are_the_papers(dim):
    codes = sinusoids(11, torch.zeros(dim, dtype=torch.float64))
    for frame in (0, 1, 10):
        for feature in range(dim):
            angle = frame / 10_000 ** (2 * (feature // 2) / (dim + dim % 2))
            expected = math.cos(angle) if feature % 2 else math.sin(angle)
            assert codes[frame, feature].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("positions", "tells_order"), [("none", False), ("absolute", True), ("rotary", True)]
)
def test_order_is_told_by_positions_alone(positions, tells_order):
    torch.manual_seed(0)
    encoder = TransformerEncoder(5, hidden_dim=8, positions=positions).eval()
    frames = torch.randn(1, 12, 5)
    change = (encoder(frames.flip(1))[0].flip(1) - encoder(frames)[0]).abs().max()
    assert (change > 1e-2) == tells_order


def test_the_parameters_of_the_reports_transformer():
    report = {"hidden_dim": 512, "n_heads": 8, "depth": 4, "feedforward_dim": 2048}
    encoder = TransformerEncoder(128, **report, pre_norm=False, activation="relu")
    # With the map of the report's aggregation 12,938,240, where the report rounds to 12.3 million.
    assert sum(p.numel() for p in encoder.parameters()) == 12_675_584
    assert 12_675_584 + sum(p.numel() for p in nn.Linear(512, 512).parameters()) == 12_938_240
    pre_norm = TransformerEncoder(128, **report)
    assert sum(p.numel() for p in pre_norm.parameters()) == 12_675_584 + 2 * 512


def test_what_comes_later_changes_nothing_when_causal():
    torch.manual_seed(0)
    encoder = TransformerEncoder(5, hidden_dim=8, causal=True).eval()
    frames = torch.randn(1, 20, 5)
    later = torch.cat([frames[:, :10], torch.randn(1, 10, 5)], dim=1)
    difference = (encoder(frames)[0] - encoder(later)[0]).abs().amax((0, 2))
    assert difference[:10].max() < 1e-6
    assert difference[10:].min() > 1e-3


@pytest.mark.parametrize(
    "options",
    [{"hidden_dim": 10, "n_heads": 4}, {"hidden_dim": 9, "n_heads": 3, "positions": "rotary"}],
)
def test_heads_that_do_not_divide_the_features_are_refused(options):
    with pytest.raises(SettingsError, match=r"n_heads = \d: \d+ features do not divide"):
        TransformerEncoder(5, **options)


@pytest.mark.parametrize("causal", [False, True])
def test_weights_of_distances_are_added_after_the_softmax(causal):
    torch.manual_seed(0)
    n_frames, reach = 9, 3
    attention = SoftmaxAttention(8, 2, causal=causal, reach_frames=reach).double()
    plain = SoftmaxAttention(8, 2, causal=causal).double()
    plain.load_state_dict(attention.state_dict(), strict=False)
    frames = torch.randn(2, n_frames, 8, dtype=torch.float64)
    values = attention.queries_keys_values(frames).chunk(3, dim=-1)[2]
    added = torch.zeros_like(values)
    for head in range(2):
        of = slice(4 * head, 4 * head + 4)
        for frame in range(n_frames):
            last = frame + 1 if causal else n_frames
            for other in range(max(0, frame - reach), min(last, frame + reach + 1)):
                weight = attention.distances[head, 0, other - frame + reach]
                added[:, frame, of] += weight * values[:, other, of]
    expected = plain(frames) + added @ attention.output.weight.mT
    torch.testing.assert_close(attention(frames), expected)
