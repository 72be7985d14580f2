"""Linear attention against all pairs of frames, and against its recurrence frame by frame."""

import pytest
import torch
import torch.nn.functional as F

from subtr.encoders.attention import (
    GatedLinearAttention,
    LinearAttention,
    LinearAttentionEncoder,
    decayed_sums,
)
from subtr.params import SettingsError


def recurrence(queries, keys, values, log_gates=None):
    """One frame after the other, as the papers write it."""
    state = torch.zeros(*keys.shape[:2], keys.shape[-1], values.shape[-1], dtype=keys.dtype)
    sums = []
    for frame in range(keys.shape[2]):
        if log_gates is not None:
            state = log_gates[:, :, frame].exp()[..., None] * state
        state = state + keys[:, :, frame, :, None] * values[:, :, frame, None]
        sums.append((queries[:, :, frame, None] @ state).squeeze(2))
    return torch.stack(sums, dim=2)


@pytest.mark.parametrize("n_frames", [1, 15, 16, 17, 50])
@pytest.mark.parametrize("gated", [False, True])
def test_chunks_equal_the_recurrence(n_frames, gated):
    generator = torch.Generator().manual_seed(n_frames)
    queries, keys = torch.randn(2, 2, 3, n_frames, 4, dtype=torch.float64, generator=generator)
    values = torch.randn(2, 3, n_frames, 5, dtype=torch.float64, generator=generator)
    log_gates = F.logsigmoid(3 * torch.randn(2, 3, n_frames, 4, generator=generator).double())
    given = (queries, keys, values, log_gates if gated else None)
    torch.testing.assert_close(decayed_sums(*given), recurrence(*given))


def test_gates_that_forget_everything_overflow_nothing():
    queries, keys, values = torch.randn(3, 1, 1, 40, 4)
    queries.requires_grad_()
    sums = decayed_sums(queries, keys, values, torch.full((1, 1, 40, 4), -1e4))
    alone = (queries * keys).sum(-1, keepdim=True) * values  # each frame remembers itself alone
    torch.testing.assert_close(sums, alone)
    sums.sum().backward()
    assert queries.grad.isfinite().all()


def all_pairs(attention, frames):
    """elu(x) + 1 of every pair of frames, head by head."""
    size = frames.shape[-1] // attention.n_heads
    queries, keys, values = attention.queries_keys_values(frames).chunk(3, dim=-1)
    heads = []
    for head in range(attention.n_heads):
        of = slice(head * size, (head + 1) * size)
        query, key = F.elu(queries[..., of]) + 1, F.elu(keys[..., of]) + 1
        weights = query @ key.mT
        if attention.causal:
            weights = weights.tril()
        heads.append(weights / weights.sum(-1, keepdim=True) @ values[..., of])
    return attention.output(torch.cat(heads, dim=-1))


@pytest.mark.parametrize("causal", [False, True])
def test_linear_attention_is_a_weighted_mean_over_all_pairs(causal):
    torch.manual_seed(0)
    attention = LinearAttention(12, 3, causal=causal).double()
    frames = torch.randn(2, 37, 12, dtype=torch.float64)
    torch.testing.assert_close(attention(frames), all_pairs(attention, frames))


@pytest.mark.parametrize("causal", [False, True])
def test_gated_attention_is_its_recurrence_there_and_back(causal):
    torch.manual_seed(0)
    attention = GatedLinearAttention(12, 3, causal=causal).double()
    frames = torch.randn(2, 37, 12, dtype=torch.float64)

    def heads(features):
        return features.unflatten(-1, (3, -1)).transpose(1, 2)

    queries = heads(attention.queries(frames)) / 2**0.5
    keys, values = heads(attention.keys(frames)), heads(attention.values(frames))
    gates = [heads(gate(frames)).sigmoid() ** (1 / 16) for gate in attention.gates]
    sums = recurrence(queries, keys, values, gates[0].log())
    if not causal:
        backwards = [x.flip(2) for x in (queries, keys, values, gates[1].log())]
        sums = sums + recurrence(*backwards).flip(2)
    normed = F.layer_norm(sums, (4,), attention.norm.weight, attention.norm.bias)
    gate = attention.output_gate(frames)
    expected = attention.output(gate * gate.sigmoid() * normed.transpose(1, 2).flatten(-2))
    torch.testing.assert_close(attention(frames), expected)


@pytest.mark.parametrize("kind", ["elu", "gated"])
def test_what_comes_later_changes_nothing_when_causal(kind):
    torch.manual_seed(0)
    encoder = LinearAttentionEncoder(5, hidden_dim=8, kind=kind, causal=True).eval()
    frames = torch.randn(1, 40, 5)
    later = torch.cat([frames[:, :20], torch.randn(1, 20, 5)], dim=1)
    difference = (encoder(frames)[0] - encoder(later)[0]).abs().amax((0, 2))
    assert difference[:20].max() < 1e-5
    assert difference[20:].min() > 1e-3


@pytest.mark.parametrize(
    ("options", "tells_order"),
    [
        ({"positions": "none"}, False),
        ({"positions": "absolute"}, True),
        ({"positions": "none", "kind": "gated"}, True),
    ],
)
def test_order_is_told_by_positions_or_by_gates(options, tells_order):
    torch.manual_seed(0)
    encoder = LinearAttentionEncoder(5, hidden_dim=8, **options).eval()
    frames = torch.randn(1, 12, 5)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    change = (encoder(frames[:, order])[0] - encoder(frames)[0][:, order]).abs().max()
    assert (change > 1e-3) == tells_order


def test_parameters_at_the_size_of_the_reports_transformer():
    report = {"hidden_dim": 512, "n_heads": 8, "depth": 4, "feedforward_dim": 2048}
    counts = {
        kind: sum(p.numel() for p in LinearAttentionEncoder(128, kind=kind, **report).parameters())
        for kind in ("elu", "gated")
    }
    # Plain: those of the pre-norm transformer.
    assert counts == {"elu": 12_676_608, "gated": 12_771_328}


def test_heads_that_do_not_divide_the_features_are_refused():
    for kind in ("elu", "gated"):
        with pytest.raises(SettingsError, match="n_heads = 4: 10 features do not divide"):
            LinearAttentionEncoder(5, kind=kind, hidden_dim=10)
