"""Losses against the plain formulas that they stand for."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from subtr.metrics.bold import pearson_r
from subtr.metrics.temporal import within_tr_r2
from subtr.training.losses import bold_loss, reconstruction_loss


def pair(seed=0, shape=(3, 5, 16, 4)):
    generator = torch.Generator().manual_seed(seed)
    original = torch.randn(shape, generator=generator)
    return original, original + 0.7 * torch.randn(shape, generator=generator) + 0.3


@given(seed=st.integers(0, 1000), level_weight=st.floats(0, 4))
def test_it_is_the_mean_squared_error_with_the_level_weighed(seed, level_weight):
    original, found = pair(seed)
    mse = (found - original).square().mean().item()
    level = (found - original).mean(2).square().mean().item()
    loss, named = reconstruction_loss(found, original, level_weight)
    assert loss.item() == pytest.approx(mse + (level_weight - 1) * level, rel=1e-4)
    assert named["within"].item() + named["level"].item() == pytest.approx(mse, rel=1e-4)


def test_its_diagnostic_is_the_score_that_is_reported():
    original, found = pair()
    _, named = reconstruction_loss(found, original)
    score = within_tr_r2(original.flatten(0, 1).numpy(), found.flatten(0, 1).numpy())
    assert named["within_tr_r2"].item() == pytest.approx(score, abs=1e-5)


def test_known_reconstructions_have_their_known_losses():
    original, _ = pair()
    average = original.mean(2, keepdim=True).expand_as(original)
    loss, named = reconstruction_loss(average, original)
    assert named["within_tr_r2"].item() == pytest.approx(0, abs=1e-6)
    assert named["level"].item() == pytest.approx(0, abs=1e-10)
    loss, named = reconstruction_loss(original + 2, original, level_weight=0.5)
    assert loss.item() == pytest.approx(0.5 * 4)
    assert named["within_tr_r2"].item() == pytest.approx(1, abs=1e-6)


def test_gradients_reach_the_reconstruction_and_not_the_diagnostics():
    original, found = pair()
    found.requires_grad_()
    loss, named = reconstruction_loss(found, original)
    loss.backward()
    torch.testing.assert_close(found.grad, 2 * (found - original).detach() / found.numel())
    assert not any(value.requires_grad for value in named.values())


def bold(seed=0, shape=(2, 40, 3)):
    generator = torch.Generator().manual_seed(seed)
    measured = torch.randn(shape, generator=generator)
    return measured, measured + torch.randn(shape, generator=generator)


def masked():
    measured, predicted = bold()
    measured[0, :15] = torch.nan
    measured[1, 7, 1] = torch.nan
    return measured, predicted


def test_correlation_equals_numpy_over_known_volumes():
    measured, predicted = masked()
    loss, named = bold_loss({"a": predicted}, {"a": measured})
    y, x = measured.flatten(0, 1).numpy(), predicted.flatten(0, 1).numpy()
    expected = []
    for parcel in range(3):
        known = np.isfinite(y[:, parcel])
        expected.append(np.corrcoef(x[known, parcel], y[known, parcel])[0, 1])
    assert loss.item() == pytest.approx(1 - np.mean(expected), abs=1e-5)
    assert named["r"].item() == pytest.approx(pearson_r(x, y).mean(), abs=1e-5)


def test_squared_error_equals_numpy_over_known_volumes():
    measured, predicted = masked()
    loss, _ = bold_loss({"a": predicted}, {"a": measured}, "mse")
    error = ((predicted - measured) ** 2).flatten(0, 1).numpy()
    assert loss.item() == pytest.approx(np.nanmean(error, axis=0).mean(), rel=1e-5)


def test_subjects_count_equally_and_in_any_order():
    (a, x), (b, y) = bold(1), bold(2)
    b[0, :30] = torch.nan
    both, _ = bold_loss({"a": x, "b": y}, {"b": b, "a": a})
    alone = [bold_loss({"s": p}, {"s": m})[0].item() for p, m in ((x, a), (y, b))]
    assert both.item() == pytest.approx(np.mean(alone), rel=1e-5)


@pytest.mark.parametrize("kind", ["correlation", "mse"])
def test_a_parcel_without_known_volumes_neither_counts_nor_spoils(kind):
    measured, predicted = bold()
    measured[..., 1] = torch.nan
    predicted.requires_grad_()
    loss, _ = bold_loss({"a": predicted}, {"a": measured}, kind)
    loss.backward()
    assert loss.isfinite()
    assert predicted.grad.isfinite().all()
    assert (predicted.grad[..., 1] == 0).all()
    assert (predicted.grad[..., 0] != 0).all()


def test_correlation_does_not_see_scale_or_offset():
    measured, predicted = bold()
    one, _ = bold_loss({"a": predicted}, {"a": measured})
    other, _ = bold_loss({"a": 5 * predicted - 3}, {"a": measured})
    assert one.item() == pytest.approx(other.item(), abs=1e-5)
    perfect, _ = bold_loss({"a": -measured}, {"a": measured})
    assert perfect.item() == pytest.approx(2, abs=1e-5)
