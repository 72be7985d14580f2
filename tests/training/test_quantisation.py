"""Codes find planted clusters and cost what they say."""

import copy
import itertools

import pytest
import torch

from subtr.params import SettingsError, SubtrError, validate
from subtr.training.quantised import HierarchicalQuantiser
from subtr.training.systems import QuantiserParams

N_FRAMES = 4


def params(**changes):
    settings = {"n_coarse": 1, "coarse_size": 4, "n_fine": 1, "fine_size": 4}
    return validate(QuantiserParams, settings | {"fine_frames": N_FRAMES} | changes, "params")


def planted(n_trs=200, noise=0.05, seed=0):
    """TR vectors of 4 clusters; latents that follow the cluster, and one of 4 added at each frame.

    Gives vectors (1, TR, 2), latents (1, TR, frame, 3), the cluster and what was added.
    """
    rng = torch.Generator().manual_seed(seed)
    cluster = torch.randint(4, (n_trs,), generator=rng)
    corners = torch.tensor(list(itertools.product((-3.0, 3.0), (-2.0, 2.0))))
    vectors = corners[cluster] + noise * torch.randn(n_trs, 2, generator=rng)
    added = torch.randint(4, (n_trs, N_FRAMES), generator=rng)
    additions = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    explained = (corners @ torch.tensor([[5.0, 0, 2], [0, 7, 1]]))[cluster]
    latents = explained[:, None] + additions[added]
    latents = latents + noise * torch.randn(latents.shape, generator=rng)
    return vectors[None], latents[None], cluster, added


def started(vectors, latents, seed=0, **changes):
    torch.manual_seed(seed)
    quantiser = HierarchicalQuantiser(2, 3, params(**changes))
    quantiser.start_fine(quantiser.start_coarse(vectors[0]), latents[0])
    return quantiser


def one_to_one(codes, truth):
    pairs = set(zip(codes.flatten().tolist(), truth.flatten().tolist(), strict=True))
    return len(pairs) == len({code for code, _ in pairs}) == len({true for _, true in pairs}) == 4


def best_start(vectors, latents):
    """K-means may put two means in one cluster; the seed whose codes tell most."""
    found = [started(vectors, latents, seed) for seed in range(20)]
    return min(found, key=lambda one: one.eval()(vectors, latents).loss.item())


def test_planted_clusters_are_recovered_up_to_their_names_in_unseen_data():
    vectors, latents, *_ = planted()
    quantiser = best_start(vectors, latents).eval()
    vectors, latents, cluster, added = planted(seed=1)
    told = quantiser(vectors, latents)
    assert one_to_one(told.coarse_codes, cluster)
    assert one_to_one(told.fine_codes, added)
    # What is left is the noise, and how far means of some tens of TRs are from the truth.
    assert (told.vectors - vectors).abs().mean() < 0.08
    assert (told.latents - latents).abs().mean() < 0.15
    # Four clusters in nearly equal use are as hard to guess as four codes.
    assert told.diagnostics["coarse perplexity"] == pytest.approx(4, abs=0.1)
    assert told.diagnostics["fine used"] == 1


def test_fine_codes_tell_what_coarse_ones_leave():
    """Alone, 4 fine codes cannot tell 16 kinds of latents; given the coarse ones they can."""
    vectors, latents, *_ = planted()
    given_coarse = best_start(vectors, latents)(vectors, latents)
    alone = best_start(torch.zeros_like(vectors).normal_(), latents)
    error = (given_coarse.latents - latents).square().mean()
    assert error < 0.05
    told = alone.eval()(torch.zeros_like(vectors), latents)
    assert (told.latents - latents).square().mean() > 20 * error


@pytest.mark.parametrize(
    ("changes", "bits"),
    [
        ({}, 2 + 4 * 2),
        ({"n_coarse": 4, "coarse_size": 256, "n_fine": 0}, 32),
        ({"n_coarse": 3, "coarse_size": 2, "n_fine": 2, "fine_size": 1024}, 3 + 4 * 2 * 10),
    ],
)
def test_bits_are_those_that_the_codes_can_differ_in(changes, bits):
    chosen = params(**changes)
    assert chosen.bits_per_tr == bits
    n_messages = chosen.coarse_size**chosen.n_coarse
    n_messages *= chosen.fine_size ** (chosen.n_fine * chosen.fine_frames)
    assert 2**bits == n_messages


def test_codes_alone_give_back_what_was_told():
    vectors, latents, *_ = planted(noise=1.0)
    quantiser = started(vectors, latents, n_coarse=2, n_fine=3).eval()
    told = quantiser(vectors, latents)
    assert told.coarse_codes.shape == (1, 200, 2)
    assert told.fine_codes.shape == (1, 200, N_FRAMES, 3)
    again, added = quantiser.from_codes(told.coarse_codes, told.fine_codes)
    torch.testing.assert_close(again, told.vectors, atol=1e-5, rtol=0)
    torch.testing.assert_close(added, told.fine_added, atol=1e-5, rtol=0)


def test_more_codebooks_leave_less():
    vectors, latents, *_ = planted(noise=1.0)
    errors = []
    for n_codebooks in (1, 2, 4):
        told = started(vectors, latents, n_coarse=n_codebooks).eval()(vectors, latents)
        errors.append((told.vectors - vectors).square().mean())
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]


@pytest.mark.parametrize("training", [True, False])
def test_gradients_pass_straight_through_once_whatever_the_codebooks(training):
    vectors, latents, *_ = planted(noise=1.0)
    quantiser = started(vectors, latents, n_coarse=3, n_fine=3).train(training)
    vectors.requires_grad_()
    latents.requires_grad_()
    told = quantiser(vectors, latents)
    weights = torch.randn_like(vectors), torch.randn_like(latents)
    ((told.vectors * weights[0]).sum() + (told.latents * weights[1]).sum()).backward()
    torch.testing.assert_close(vectors.grad, weights[0])
    torch.testing.assert_close(latents.grad, weights[1])


def test_the_commitment_draws_latents_to_their_codes():
    vectors, latents, *_ = planted(noise=1.0)
    quantiser = started(vectors, latents, commitment=1.0).eval()
    vectors.requires_grad_()
    told = quantiser(vectors, latents)
    told.loss.backward()
    away = vectors.detach() - told.vectors.detach()
    torch.testing.assert_close(vectors.grad, 2 * away / away.numel(), atol=1e-7, rtol=1e-4)


def test_what_coarse_codes_explain_is_learned_and_codes_follow_in_training_alone():
    vectors, latents, *_ = planted()
    quantiser = best_start(vectors, latents)
    before = copy.deepcopy(quantiser.state_dict())
    quantiser.eval()
    first, again = quantiser(vectors + 1, latents), quantiser(vectors + 1, latents)
    assert torch.equal(first.vectors, again.vectors)
    assert torch.equal(first.fine_codes, again.fine_codes)
    for name, value in quantiser.state_dict().items():
        assert torch.equal(value, before[name]), name
    quantiser.train()
    optimiser = torch.optim.Adam(quantiser.parameters(), 0.05)
    for _ in range(300):
        optimiser.zero_grad()
        quantiser(vectors + 1, latents + 2).loss.backward()
        optimiser.step()
    told = quantiser.eval()(vectors + 1, latents + 2)
    # Codes moved by 1 with their vectors: what is left is the noise again.
    assert first.vectors.sub(vectors + 1).abs().mean() > 0.9
    assert told.vectors.sub(vectors + 1).abs().mean() < 0.1
    expected = quantiser.explained(told.vectors).unflatten(-1, (N_FRAMES, 3))
    assert (expected.mean((1, 2)) - (latents + 2).mean((1, 2))).abs().max() < 0.1


def test_a_code_that_tells_nothing_is_put_where_vectors_are():
    vectors, latents, *_ = planted()
    quantiser = started(vectors, latents, decay=0.5, dead_below=1.0)
    quantiser.train()
    for _ in range(60):  # from now on there are four clusters elsewhere
        quantiser(10 + 2 * vectors, latents)
    used = quantiser.eval()(10 + 2 * vectors, latents).diagnostics["coarse used"]
    kept = started(vectors, latents, decay=0.5, dead_below=0.0).train()
    for _ in range(60):
        kept(10 + 2 * vectors, latents)
    assert used == 1
    assert kept.eval()(10 + 2 * vectors, latents).diagnostics["coarse used"] < 1


def test_codes_are_never_put_by_data_to_be_judged():
    vectors, latents, *_ = planted()
    with pytest.raises(SubtrError, match="start_coarse"):
        HierarchicalQuantiser(2, 3, params()).eval()(vectors, latents)
    with pytest.raises(SettingsError, match=r"coarse_size = 256: only 200 vectors.*at most 128"):
        started(vectors, latents, coarse_size=256)
    with pytest.raises(SettingsError, match="coarse_size = 6: expected a power of 2"):
        params(coarse_size=6)
