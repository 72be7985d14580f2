"""A vector is moved for its own TR alone, and only to where the decoder draws that TR better."""

import pytest
import torch
from torch import nn

from subtr.decoders import DECODERS
from subtr.models.autoencoder import fitted_vectors

N_TRS, N_FRAMES, N_BANDS, DIM = 5, 8, 4, 6


def linear_decoder(seed=0):
    torch.manual_seed(seed)
    decoder = DECODERS.parts["linear"](DIM, N_FRAMES, N_BANDS)
    basis, _ = torch.linalg.qr(torch.randn(N_FRAMES * N_BANDS, DIM))
    decoder.start_from(basis, torch.zeros(N_FRAMES * N_BANDS))
    return decoder, basis


def refining_decoder(seed=0):
    torch.manual_seed(seed)
    decoder = DECODERS.parts["refined"](DIM, N_FRAMES, N_BANDS, hidden_dim=8, depth=2)
    nn.init.normal_(decoder.refinement.give.weight, std=0.1)
    return decoder


def test_a_linear_decoder_gets_the_least_squares_vector():
    decoder, basis = linear_decoder()
    frames = torch.randn(N_TRS, N_FRAMES, N_BANDS)
    best = frames.flatten(1) @ basis
    found = fitted_vectors(decoder, best + 0.5, frames, 400, step=0.05)
    torch.testing.assert_close(found, best, atol=2e-3, rtol=0)


def test_no_steps_leave_what_the_encoder_gave():
    vectors = torch.randn(N_TRS, DIM)
    found = fitted_vectors(refining_decoder(), vectors, torch.randn(N_TRS, N_FRAMES, N_BANDS), 0)
    assert torch.equal(found, vectors)


def test_each_tr_is_drawn_better_by_the_vectors_found():
    decoder = refining_decoder()
    frames, vectors = torch.randn(N_TRS, N_FRAMES, N_BANDS), torch.randn(N_TRS, DIM)
    with torch.no_grad():
        before = (decoder(vectors[None])[0] - frames).square().mean()
        found = fitted_vectors(decoder, vectors, frames, 20)
        after = (decoder(found[None])[0] - frames).square().mean()
    assert after < 0.95 * before


@pytest.mark.parametrize("changed", range(N_TRS))
def test_what_is_known_of_a_tr_comes_from_that_tr_alone(changed):
    decoder, vectors = refining_decoder(), torch.randn(N_TRS, DIM)
    frames = torch.randn(N_TRS, N_FRAMES, N_BANDS)
    other = frames.clone()
    other[changed] += 1
    moved = fitted_vectors(decoder, vectors, frames, 5) - fitted_vectors(decoder, vectors, other, 5)
    differs = moved.abs().amax(1) > 1e-6
    assert differs.tolist() == [tr == changed for tr in range(N_TRS)]


def test_weights_and_their_gradients_stay_as_they_were():
    decoder = refining_decoder()
    weights = [one.clone() for one in decoder.parameters()]
    fitted_vectors(decoder, torch.randn(N_TRS, DIM), torch.randn(N_TRS, N_FRAMES, N_BANDS), 3)
    for before, now in zip(weights, decoder.parameters(), strict=True):
        assert torch.equal(before, now)
        assert now.grad is None
