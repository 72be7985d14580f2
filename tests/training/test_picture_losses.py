"""Films whose errors are known: none, a blur, a flicker, and one that moves with what moves."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from subtr.judges import load_judge
from subtr.judges.judge import JudgeMissing
from subtr.training.losses import PictureLoss, flow_loss, gradient_loss, perceptual_loss, warp
from subtr.training.systems import PictureParams

STEP = 2


@pytest.fixture(scope="module")
def wide():
    rng = np.random.default_rng(0)
    noise = gaussian_filter(rng.standard_normal((3, 36, 100)), (0, 2, 2))
    return torch.from_numpy(0.5 + 0.4 * noise / np.abs(noise).max()).float()


def sliding(wide, n_pictures=4):
    """A film that slides to the right: (1, 1, picture, rgb, height, width)."""
    return torch.stack([wide[..., 30 - STEP * n : 94 - STEP * n] for n in range(n_pictures)])[
        None, None
    ]


def test_a_warp_carries_pictures_by_their_flow(wide):
    film = sliding(wide)[0, 0]
    flow = torch.zeros(3, 36, 64, 2)
    flow[..., 0] = STEP
    carried = warp(film[:-1], flow)
    torch.testing.assert_close(carried[..., STEP:], film[1:, ..., STEP:], atol=1e-5, rtol=0)
    torch.testing.assert_close(carried[..., 0], film[:-1, ..., 0], atol=1e-5, rtol=0)
    half = torch.full((1, 36, 64, 2), 0.5)
    mean = (film[:1, :, 1:, 1:] + film[:1, :, :-1, 1:] + film[:1, :, 1:, :-1]) / 4
    mean = mean + film[:1, :, :-1, :-1] / 4
    torch.testing.assert_close(warp(film[:1], half)[..., 1:, 1:], mean, atol=1e-5, rtol=0)


def test_gradient_loss_is_equation_6(wide):
    found, wanted = torch.rand(2, 3, 4, 5), wide[None, :, :4, :5].repeat(2, 1, 1, 1)
    total = 0.0
    for picture, colour, row, column in np.ndindex(2, 3, 4, 5):
        y, x = found[picture, colour], wanted[picture, colour]
        if row:
            steps = [(of[row, column] - of[row - 1, column]).abs() for of in (x, y)]
            total += (steps[0] - steps[1]).abs() / (2 * 3 * 3 * 5)
        if column:
            steps = [(of[row, column] - of[row, column - 1]).abs() for of in (x, y)]
            total += (steps[0] - steps[1]).abs() / (2 * 3 * 4 * 4)
    torch.testing.assert_close(gradient_loss(found, wanted), total)


@pytest.mark.parametrize("loss", [gradient_loss, flow_loss])
def test_the_original_costs_nothing_and_worse_films_more(wide, loss):
    film = sliding(wide)
    average = film.mean(2, keepdim=True).expand_as(film)
    noise = torch.rand(film.shape, generator=torch.Generator().manual_seed(0))
    values = [loss(of, film).item() for of in (film, 0.5 * film + 0.5 * average, average, noise)]
    assert values[0] == 0
    assert (np.diff(values) > 0).all()


def test_errors_that_move_along_are_free_and_those_that_stay_behind_are_not(wide):
    film = sliding(wide)
    mark = torch.zeros_like(wide)
    mark[:, 10:25, 40:60] = 0.2
    along = sliding(mark)
    behind = along[:, :, :1].expand_as(along)
    flicker = torch.zeros_like(along)
    flicker[:, :, ::2] = along[:, :, ::2]
    values = [flow_loss(film + error, film).item() for error in (along, behind, flicker)]
    assert values[0] < 0.2 * values[1]
    assert values[1] < values[2]


def test_flow_loss_has_the_gradient_that_it_should(wide):
    film = sliding(wide, 3)[..., :24, :24].double()
    found = (film + 0.1 * torch.rand_like(film)).requires_grad_()
    (gradient,) = torch.autograd.grad(flow_loss(found, film), found)
    direction = torch.rand_like(found)
    with torch.no_grad():
        rise = flow_loss(found + 1e-6 * direction, film) - flow_loss(found - 1e-6 * direction, film)
    assert (gradient * direction).sum().item() == pytest.approx(rise.item() / 2e-6, rel=1e-3)


def test_perceptual_loss_falls_when_followed(wide):
    try:
        load_judge("lpips")
    except JudgeMissing as error:
        pytest.skip(str(error))
    film = sliding(wide)[:, :, :1]
    found = film.mean((-1, -2), keepdim=True).expand_as(film).clone().requires_grad_()
    before = perceptual_loss(found, film)
    optimiser = torch.optim.Adam([found], 0.02)
    for _ in range(10):
        optimiser.zero_grad()
        perceptual_loss(found, film).backward()
        optimiser.step()
    assert perceptual_loss(film, film) == 0
    assert perceptual_loss(found, film) < 0.7 * before


def test_parts_are_weighed_and_added(wide):
    film = sliding(wide)
    found = film.mean(2, keepdim=True).expand_as(film)
    value, named = PictureLoss(gradient=0.5, flow=0.25).added(found, film, 1.5)
    want = 0.5 * gradient_loss(found, film) + 0.25 * flow_loss(found, film)
    torch.testing.assert_close(value, want)
    assert set(named) == {"gradient", "flow"}
    assert PictureLoss().added(found, film, 1.5)[0] == 0
    assert PictureLoss(pixel=0.3).error_weight == 0.3


def test_params_take_weights_and_refuse_the_rest():
    params = PictureParams(loss={"pixel": 1.0, "gradient": 0.5})
    assert params.loss.gradient == 0.5
    for wrong in ({"gradiant": 1.0}, {"flow": -1.0}, {"pixel": 0.0}):
        with pytest.raises(ValidationError):
            PictureParams(loss=wrong)
