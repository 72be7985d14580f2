"""Codes are learned as classes, whatever their names."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from subtr.training.quantised import CodePredictor, code_loss


def test_logits_of_a_codebook_see_the_earlier_codes_alone():
    torch.manual_seed(0)
    predictor = CodePredictor(5, 3, 4)
    for parameter in predictor.parameters():
        torch.nn.init.normal_(parameter)
    features, codes = torch.randn(2, 6, 5), torch.randint(4, (2, 6, 3))
    logits = predictor(features, codes)
    for changed in range(3):
        other = codes.clone()
        other[..., changed] = (other[..., changed] + 1) % 4
        same = (predictor(features, other) == logits).all(-1).all(0).all(0)
        assert same.tolist() == [q <= changed for q in range(3)]
    # Without targets the likeliest codes stand in for them.
    free = predictor(features)
    torch.testing.assert_close(free, predictor(features, free.argmax(-1)))


def chained(n_trs=300, seed=0):
    """Codes that follow from features; the second one follows only given the first."""
    rng = torch.Generator().manual_seed(seed)
    features = torch.randn(n_trs, 2, generator=rng)
    first = (features[:, 0] > 0).long() + 2 * (features[:, 1] > 0).long()
    return features, torch.stack([first, (3 * first + 1) % 4], dim=-1)


def _unexplained_by_a_line(features, codes):
    centered = codes.float() - codes.float().mean(0)
    features = features - features.mean(0)
    fit = features @ torch.linalg.lstsq(features, centered).solution
    return ((centered - fit).square().sum() / centered.square().sum()).item()


def learned(features, codes, n_steps=150):
    predictor = CodePredictor(2, 2, 4)
    optimiser = torch.optim.Adam(predictor.parameters(), 0.1)
    for _ in range(n_steps):
        optimiser.zero_grad()
        loss, _ = code_loss(predictor(features, codes), codes)
        loss.backward()
        optimiser.step()
    return predictor


def test_codes_of_unseen_trs_are_predicted_whatever_their_names():
    """The names of codes mean nothing: with others, each step of learning is the same."""
    names = torch.tensor([3, 0, 1, 2])
    features, codes = chained()
    unseen, truth = chained(seed=1)
    one, other = learned(features, codes), learned(features, names[codes])
    loss, named = code_loss(one(unseen), truth)
    renamed_loss, renamed = code_loss(other(unseen), names[truth])
    assert loss.item() == pytest.approx(renamed_loss.item(), abs=1e-4)
    assert named["accuracy"].item() == pytest.approx(renamed["accuracy"].item(), abs=0.01)
    assert named["accuracy"] > 0.9
    assert named["chance accuracy"] < 0.35
    # A line through the numbers would be learned well or badly by their names alone.
    errors = [_unexplained_by_a_line(features, of) for of in (codes, names[codes])]
    assert abs(errors[0] - errors[1]) > 0.1


@settings(deadline=None, max_examples=25)
@given(names=st.permutations(range(5)), seed=st.integers(0, 99))
def test_the_loss_does_not_know_the_names_of_codes(names, seed):
    rng = torch.Generator().manual_seed(seed)
    names = torch.tensor(names)
    logits = torch.randn(7, 3, 5, generator=rng)
    codes = torch.randint(5, (7, 3), generator=rng)
    loss, named = code_loss(logits, codes)
    renamed = torch.empty_like(logits)
    renamed[..., names] = logits
    other, other_named = code_loss(renamed, names[codes])
    torch.testing.assert_close(loss, other)
    torch.testing.assert_close(named, other_named)
    by_hand = -logits.log_softmax(-1).gather(-1, codes[..., None]).mean()
    torch.testing.assert_close(loss, by_hand)


def test_chance_is_always_saying_the_commonest_code():
    codes = torch.tensor([[0, 1], [0, 2], [0, 3], [1, 1]])
    _, named = code_loss(torch.zeros(4, 2, 4), codes)
    assert named["chance accuracy"] == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert named["accuracy"] == pytest.approx(3 / 4 / 2)  # code 0 of equal logits
