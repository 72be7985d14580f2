"""Losses whose gradients are known get the weights that make them equally long."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from subtr.params import SettingsError
from subtr.training.augmentation import equal_gradient_weights, gradient_norms


class Point(nn.Module):
    """Some numbers, to be pulled by quadratic losses."""

    def __init__(self, *values):
        super().__init__()
        self.at = nn.Parameter(torch.tensor(values))


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.5))
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 2), "b": nn.Linear(4, 1)})

    def forward(self, x):
        hidden = self.trunk(x)
        return {name: head(hidden) for name, head in self.heads.items()}


def head_losses(model, batch):
    found = model(batch["frames"])
    return {"a": found["a"].square().mean(), "b": 50 * (found["b"] - 1).square().mean()}


BATCH = {"frames": torch.randn(16, 3, generator=torch.Generator().manual_seed(1))}


@settings(max_examples=40, deadline=None)
@given(scales=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=4))
def test_quadratic_losses_get_the_weights_of_their_known_gradients(scales):
    point = Point(3.0, -4.0)

    def losses(model, batch):
        # The gradient of scale / 2 |at|² is scale * at, here of length 5 * scale.
        return {str(i): scale / 2 * model.at.square().sum() for i, scale in enumerate(scales)}

    norms = gradient_norms(point, {}, losses)
    weights = equal_gradient_weights(point, {}, losses)
    mean = math.prod(scales) ** (1 / len(scales))
    for index, scale in enumerate(scales):
        assert norms[str(index)] == pytest.approx(5 * scale, rel=1e-5)
        assert weights[str(index)] == pytest.approx(mean / scale, rel=1e-4)
    assert math.prod(weights.values()) == pytest.approx(1, rel=1e-4)


def test_the_place_counts_as_well_as_the_scale():
    def losses(model, batch):
        return {"near": (model.at - 1).square().sum(), "far": (model.at - 9).square().sum()}

    weights = equal_gradient_weights(Point(0.0), {}, losses)
    assert weights == pytest.approx({"near": 3, "far": 1 / 3})


def test_weighted_losses_pull_equally_on_the_trunk_whatever_their_heads_get():
    model = TwoHeads().eval()
    weights = equal_gradient_weights(model, BATCH, head_losses)
    lengths = []
    for name, weight in weights.items():
        (weight * head_losses(model, BATCH)[name]).backward()
        gradients = [one.grad.flatten() for one in model.trunk.parameters()]
        lengths.append(torch.cat(gradients).norm().item())
        model.zero_grad()
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-5)
    chosen = equal_gradient_weights(model, BATCH, head_losses, model.trunk.parameters())
    assert chosen == pytest.approx(weights)
    last = equal_gradient_weights(model, BATCH, head_losses, [model.trunk[1].bias])
    assert last != pytest.approx(weights, rel=1e-3)


def test_the_model_is_left_as_it_was():
    model = TwoHeads().train()
    for index, one in enumerate(model.parameters()):
        one.grad = torch.full_like(one, index) if index % 2 else None
    state = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with torch.no_grad():
        equal_gradient_weights(model, BATCH, head_losses)
    assert torch.equal(torch.rand(3), expected)
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    for index, one in enumerate(model.parameters()):
        assert one.requires_grad
        if index % 2:
            assert (one.grad == index).all()
        else:
            assert one.grad is None


def test_batch_statistics_are_left_as_they_were_after_an_error_too():
    model = TwoHeads().train()

    def failing(model, batch):
        return {name: value.detach() for name, value in head_losses(model, batch).items()}

    with pytest.raises(SettingsError, match="'a'"):
        equal_gradient_weights(model, BATCH, failing)
    assert (model.trunk[1].running_mean == 0).all()
    assert model.trunk[1].num_batches_tracked == 0


@pytest.mark.parametrize(
    "dead",
    [
        lambda at: torch.tensor(3.0),
        lambda at: at.square().sum().detach(),
        lambda at: 0 * at.sum(),
        lambda at: torch.ones((), requires_grad=True) * 2,
    ],
    ids=["constant", "detached", "flat", "elsewhere"],
)
def test_a_loss_without_gradient_is_named(dead):
    def losses(model, batch):
        return {"alive": model.at.square().sum(), "asleep": dead(model.at)}

    with pytest.raises(SettingsError, match="'asleep' has no gradient"):
        equal_gradient_weights(Point(1.0, 2.0), {}, losses)


def test_a_gradient_that_is_not_finite_is_named():
    def losses(model, batch):
        return {"fine": model.at.sum(), "broken": model.at.sqrt().sum()}

    with pytest.raises(SettingsError, match="'broken' has a gradient of length"):
        equal_gradient_weights(Point(-1.0), {}, losses)


def test_losses_that_share_nothing_cannot_be_balanced():
    def losses(model, batch):
        return {name: head.weight.square().sum() for name, head in model.heads.items()}

    with pytest.raises(SettingsError, match="a, b share no parameter"):
        equal_gradient_weights(TwoHeads(), BATCH, losses)
    with pytest.raises(SettingsError, match="no losses"):
        equal_gradient_weights(TwoHeads(), BATCH, lambda model, batch: {})
