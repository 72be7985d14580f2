"""Which aggregators can tell the order of frames, and which cannot, by what they compute."""

import pytest
import torch

from subtr.aggregators import AGGREGATORS
from subtr.aggregators.learned import ConvReduction
from subtr.models.linear import PCABaseline

LEVEL_DIMS, LEVEL_FRAMES, DIM = [6, 4], [24, 12], 5
LOSE_ORDER = ["mean", "attention", "adaptive"]
# A symmetric kernel and the middle frame are the same backwards.
SEE_ORDER = sorted(set(AGGREGATORS.parts) - {*LOSE_ORDER, "nearest", "lanczos"})


def levels(seed=0, batch=3):
    generator = torch.Generator().manual_seed(seed)
    sizes = zip(LEVEL_FRAMES, LEVEL_DIMS, strict=True)
    return [torch.randn(batch, n, dim, generator=generator) for n, dim in sizes]


def built(name, seed=0, **options):
    torch.manual_seed(seed)
    made = AGGREGATORS.build(name, LEVEL_DIMS, LEVEL_FRAMES, DIM, **options).eval()
    for parameter in made.parameters():  # some begin at zero, and would hide what they do
        torch.nn.init.normal_(parameter, std=0.3)
    return made


def shuffled(of, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [level[:, torch.randperm(level.shape[1], generator=generator)] for level in of]


@pytest.mark.parametrize("name", LOSE_ORDER)
def test_a_mean_of_frames_is_blind_to_their_order(name):
    made = built(name)
    torch.testing.assert_close(made(shuffled(levels())), made(levels()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SEE_ORDER)
def test_what_learns_from_order_can_tell_it(name):
    made, given = built(name), levels()
    backwards = [level.flip(1) for level in given]
    for other in (backwards, shuffled(given)):
        change = (made(other) - made(given)).norm(dim=1) / made(given).norm(dim=1)
        assert change.min() > 0.1


@pytest.mark.parametrize("name", sorted(AGGREGATORS.parts))
def test_every_level_and_each_window_by_itself_decide_the_vector(name):
    made, given = built(name), levels()
    vector = made(given)
    assert vector.shape == (3, DIM)
    for index in range(2):
        other = [level.clone() for level in given]
        other[index][1] += 1.0
        change = (made(other) - vector).abs().amax(1)
        assert change[1] > 1e-3
        assert change[[0, 2]].max() < 1e-5


@pytest.mark.parametrize("name", sorted(AGGREGATORS.parts))
def test_training_reaches_every_parameter(name):
    made = built(name)
    made(levels()).square().sum().backward()
    for parameter in made.parameters():
        assert parameter.grad.abs().max() > 0


@pytest.mark.parametrize("name", sorted(AGGREGATORS.parts))
def test_a_single_level_of_any_length_will_do(name):
    for n_frames in (1, 7, 24):
        made = AGGREGATORS.build(name, [6], [n_frames], DIM)
        assert made([torch.randn(3, n_frames, 6)]).isfinite().all()


def test_the_mean_is_the_mean_and_the_nearest_is_the_middle_frame():
    given = levels()
    mean, nearest = built("mean"), built("nearest")
    averages = torch.cat([level.mean(1) for level in given], dim=1)
    torch.testing.assert_close(mean(given), mean.map(averages))
    middles = torch.cat([given[0][:, 12], given[1][:, 6]], dim=1)
    torch.testing.assert_close(nearest(given), nearest.map(middles))
    # The same backwards, where the number of frames is odd.
    odd = [level[:, :-1] for level in given]
    backwards = [level.flip(1) for level in odd]
    torch.testing.assert_close(nearest(backwards), nearest(odd))


def test_attention_weights_are_shares_and_find_the_frame_that_a_query_asks_for():
    made = built("attention", n_queries=2)
    given = levels()
    for weight, n_frames in zip(made.weights(given), LEVEL_FRAMES, strict=True):
        assert weight.shape == (3, 2, n_frames)
        assert (weight >= 0).all()
        torch.testing.assert_close(weight.sum(-1), torch.ones(3, 2))
    with torch.no_grad():
        made.queries[0, 0] = 1e4 * made.keys[0](given[0][0, 17])
    assert (
        made.weights(given)[0][0, 0].argmax()
        == (made.keys[0](given[0][0]) @ made.keys[0](given[0][0, 17])).argmax()
    )
    sums = torch.einsum("b q t, b t d -> b q d", made.weights(given)[0], given[0])
    assert sums.amax() <= given[0].amax() + 1e-5  # a mean of frames lies among them


def test_a_linear_map_started_from_pca_is_pca():
    windows = torch.randn(200, 24, 6, generator=torch.Generator().manual_seed(0))
    windows = windows @ torch.diag(torch.tensor([3.0, 2, 1, 1, 0.5, 0.1])) + 1.5
    pca = PCABaseline(DIM).fit(windows.numpy())
    made = AGGREGATORS.build("linear", LEVEL_DIMS, LEVEL_FRAMES, DIM)
    components, mean = torch.from_numpy(pca.components), torch.from_numpy(pca.mean)
    made.start_from(components, -components @ mean)
    deeper = torch.randn(200, 12, 4)
    codes = torch.from_numpy(pca.encode(windows.numpy()))
    # What the deeper level adds begins at zero.
    torch.testing.assert_close(made([windows, deeper]), codes, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_frames", [1, 7, 8, 9, 63, 64])
def test_a_reduction_states_the_size_that_it_has(n_frames):
    reduction = ConvReduction(3, n_frames, 4, last_frames=8)
    flat = reduction(torch.randn(2, n_frames, 3))
    assert flat.shape == (2, reduction.out_dim)
    assert reduction.out_dim <= 8 * 4
