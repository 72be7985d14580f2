"""Weights come from what a frame holds, and from nothing else."""

import pytest
import torch

from subtr.aggregators import AGGREGATORS
from subtr.aggregators.pooling import FrameScores

DIMS, FRAMES, DIM = [6, 4], [24, 12], 5
VARIANTS = [(weights, gated) for weights in ("shared", "per_feature") for gated in (False, True)]


def levels(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(3, n, dim, generator=generator) for n, dim in zip(FRAMES, DIMS, strict=True)
    ]


def built(weights, gated):
    torch.manual_seed(0)
    return AGGREGATORS.build("adaptive", DIMS, FRAMES, DIM, weights=weights, gated=gated)


@pytest.mark.parametrize(("weights", "gated"), VARIANTS)
def test_weights_are_shares_and_move_with_their_frames(weights, gated):
    made, given = built(weights, gated), levels()
    order = [torch.randperm(n, generator=torch.Generator().manual_seed(1)) for n in FRAMES]
    moved = made.weights([level[:, index] for level, index in zip(given, order, strict=True)])
    for weight, other, index, dim in zip(made.weights(given), moved, order, DIMS, strict=True):
        assert weight.shape[2] == (1 if weights == "shared" else dim)
        assert weight.amin() >= 0
        torch.testing.assert_close(weight.sum(1), torch.ones_like(weight[:, 0]))
        assert weight.std(dim=1).min() > 1e-3
        torch.testing.assert_close(other, weight[:, index])


@pytest.mark.parametrize(("weights", "gated"), VARIANTS)
def test_frames_all_alike_count_alike_and_every_parameter_learns(weights, gated):
    made = built(weights, gated)
    alike = [level[:, :1].expand_as(level) for level in levels()]
    torch.testing.assert_close(
        made.weights(alike)[0],
        torch.full_like(alike[0], 1 / 24)[..., :1].expand(made.weights(alike)[0].shape),
    )
    means = torch.cat([level[:, 0] for level in alike], dim=1)
    torch.testing.assert_close(made(alike), made.map(means))
    made(levels()).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in made.parameters())


@pytest.mark.parametrize("gated", [False, True])
def test_scores_are_those_of_the_paper(gated):
    torch.manual_seed(0)
    scores = FrameScores(6, 1, 4, gated)
    frame = torch.randn(6)
    expected = torch.tanh(scores.hidden.weight @ frame + scores.hidden.bias)
    if gated:
        expected = expected / (1 + torch.exp(-(scores.gate.weight @ frame + scores.gate.bias)))
    expected = (scores.score.weight[0] * expected).sum()
    torch.testing.assert_close(scores(frame[None, None])[0, 0, 0], expected)


@pytest.mark.parametrize("gated", [False, True])
def test_it_learns_to_hear_the_one_frame_that_matters(gated):
    """Frames are noise; the one marked by a large first feature holds the answer in its second."""

    def marked(seed):
        generator = torch.Generator().manual_seed(seed)
        frames = torch.randn(512, 16, 3, generator=generator)
        which = torch.randint(16, (512,), generator=generator)
        frames[..., 0] = torch.nn.functional.one_hot(which, 16) * 3.0
        return frames, frames[torch.arange(512), which, 1:2]

    frames, answer = marked(seed=0)
    torch.manual_seed(0)
    made = AGGREGATORS.build("adaptive", [3], [16], 1, gated=gated)
    optimiser = torch.optim.Adam(made.parameters(), lr=0.03)
    for _ in range(200):
        optimiser.zero_grad()
        (made([frames]) - answer).square().mean().backward()
        optimiser.step()
    unheard, truth = marked(seed=1)
    left = (made([unheard]) - truth).var() / truth.var()
    assert left < 0.05  # the mean of the frames leaves 15/16 of it
