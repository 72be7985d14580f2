"""Each output hears its own features at its own times."""

import pytest
import torch

from subtr.aggregators import AGGREGATORS
from subtr.params import SettingsError

DIMS, FRAMES, DIM = [6, 4], [24, 12], 5


def built(dims=DIMS, frames=FRAMES, dim=DIM, **options):
    torch.manual_seed(0)
    return AGGREGATORS.build("parcel_kernels", dims, frames, dim, **options)


def levels():
    return [torch.randn(3, n, dim) for n, dim in zip(FRAMES, DIMS, strict=True)]


@pytest.mark.parametrize("rank", [1, 2])
def test_an_output_is_a_sum_over_frames_and_features_of_kernel_times_weight(rank):
    made, given = built(rank=rank), levels()
    torch.nn.init.normal_(made.weights)
    torch.nn.init.normal_(made.bias)
    expected = made.bias + sum(
        torch.einsum("o r t, o r d, b t d -> b o", made.kernels(n)[index], features, level)
        for index, (n, features, level) in enumerate(zip(FRAMES, made.features, given, strict=True))
    )
    torch.testing.assert_close(made(given), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 2])
def test_what_an_output_hears_has_the_rank_asked_for(rank):
    made = built(rank=rank)
    torch.nn.init.normal_(made.weights)
    window, deeper = levels()
    heard = torch.autograd.functional.jacobian(lambda one: made([one, deeper])[0], window)[:, 0]
    for output in heard:  # (frame, feature)
        assert torch.linalg.matrix_rank(output, rtol=1e-4) == rank


def test_every_output_starts_as_an_average():
    made = built()
    given = levels()
    torch.testing.assert_close(made.kernels(24)[:, :, 0], torch.full((2, DIM, 24), 1 / 24))
    still = [level.mean(1, keepdim=True).expand_as(level) for level in given]
    torch.testing.assert_close(made(given), made(still), rtol=1e-4, atol=1e-5)


def test_a_smooth_signal_gives_the_same_at_double_the_frame_rate():
    made = built([2], [64])
    torch.nn.init.normal_(made.weights)

    def signal(n_frames):
        time_tr = (torch.arange(n_frames) + 0.5) / n_frames
        return torch.stack([torch.sin(2 * time_tr + 1), torch.cos(5 * time_tr)], dim=-1)[None]

    torch.testing.assert_close(made([signal(128)]), made([signal(64)]), atol=5e-3, rtol=0)


def test_parcels_that_listen_at_different_times_are_each_found():
    """Planted: one parcel hears the rise of feature 0, one the early part of feature 1."""
    frames = torch.randn(512, 16, 3, generator=torch.Generator().manual_seed(0))
    time_tr = (torch.arange(16) + 0.5) / 16
    kernels = torch.stack([torch.cos(torch.pi * time_tr), 1 + torch.cos(torch.pi * time_tr)])
    response = torch.stack([frames[..., 0] @ kernels[0], frames[..., 1] @ kernels[1]], dim=-1)
    made = built([3], [16], 2, n_cosines=4)
    optimiser = torch.optim.Adam(made.parameters(), lr=0.1)
    for _ in range(400):
        optimiser.zero_grad()
        (made([frames]) - response).square().mean().backward()
        optimiser.step()
    for parcel in range(2):
        alike = torch.cosine_similarity(made.kernels(16)[0, parcel, 0], kernels[parcel], dim=0)
        assert alike.abs() > 0.99
        heard = made.features[0][parcel, 0].abs()
        assert heard.argmax() == parcel
        assert heard[parcel] > 0.99 * heard.norm()


def test_every_parameter_learns_from_the_start():
    made = built(rank=2)
    made(levels()).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in made.parameters())


def test_a_rank_above_the_cosines_is_refused():
    with pytest.raises(SettingsError, match="rank = 9: expected at most n_cosines, 8"):
        built(rank=9, n_cosines=8)
