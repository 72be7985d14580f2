"""What is hidden from an encoder stays hidden, and lies where it is in the picture."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_pretraining import CONTEXT, N_BANDS, N_FRAMES, TR_S, stream

from subtr.encoders.positions import POSITIONS
from subtr.training.pretraining import MaskedAutoencoder, Patches


def masked(made, token=True, feature=(N_BANDS,), frames=N_FRAMES + 2 * CONTEXT, side=2):
    mean = torch.arange(float(np.prod(feature))).view(feature)
    model = MaskedAutoencoder(made, Patches(frames, feature, 4, side), TR_S, mean, 1.0, 16, token)
    if token:
        torch.nn.init.normal_(model.token)
    return model.eval()


@pytest.mark.parametrize("position", POSITIONS.parts)
def test_with_nothing_hidden_the_encoder_is_given_what_it_gets_in_its_stream(position):
    made, seen = stream(position=position).eval(), []
    made.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    frames = torch.randn(5, 16, N_BANDS, generator=torch.Generator().manual_seed(0))
    made(frames[None], TR_S)
    masked(made)(frames, torch.zeros(5, 4, 3, dtype=torch.bool))
    torch.testing.assert_close(seen[0], seen[1], rtol=0, atol=0)


def test_hidden_patches_become_the_mean_and_a_learned_patch():
    frames = torch.randn(2, 16, N_BANDS)
    hidden = torch.zeros(2, 4, 3, dtype=torch.bool)
    hidden[0, 1, 2] = True
    for token in (False, True):
        model = masked(stream(), token)
        shown = model.filled(frames, hidden)
        expected = frames.clone()
        expected[0, 4:8, 4:6] = model.mean[4:6] + (model.token if token else 0)
        torch.testing.assert_close(shown, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("encoder", "in_dim", "feature", "side"),
    [("multiscale", N_BANDS, (N_BANDS,), 2), ("frame2d", (8, 12), (3, 8, 12), 4)],
)
def test_what_is_hidden_does_not_reach_what_is_redrawn(encoder, in_dim, feature, side):
    made = stream(encoder, in_dim, context=0)
    model = masked(made, feature=feature, frames=N_FRAMES, side=side)
    cells = int(np.prod([length // side for length in feature[-2:] if length != 3]))
    hidden = torch.rand(2, 2, cells, generator=torch.Generator().manual_seed(0)) < 0.5
    frames = torch.randn(2, N_FRAMES, *feature)
    where = model.patches.spread(hidden).expand_as(frames)
    other = torch.where(where, frames + 100, frames)
    seen = torch.where(where, frames, frames + 1)
    with torch.no_grad():
        found = model(frames, hidden)
        assert torch.equal(found, model(other, hidden))
        assert not torch.equal(found, model(seen, hidden))


@given(
    st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)
)
def test_a_mask_is_spread_over_patches_as_they_lie_in_the_picture(times, f, rows, columns, p):
    patches = Patches(times * f, (3, rows * p, columns * p), f, p)
    assert (patches.n_times, patches.space) == (times, (rows, columns))
    for time, row, column in np.ndindex(times, rows, columns):
        mask = torch.zeros(1, times, rows * columns, dtype=torch.bool)
        mask[0, time, row * columns + column] = True
        spread = patches.spread(mask)[0, :, 0]
        assert spread.sum() == f * p * p
        inside = spread[time * f : (time + 1) * f, row * p : (row + 1) * p]
        assert inside[..., column * p : (column + 1) * p].all()
