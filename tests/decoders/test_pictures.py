"""Pictures of any size, in the range of colours, held or moving."""

import pytest
import torch

from subtr.decoders import PICTURE_DECODERS


def built(size, seed=0, **options):
    torch.manual_seed(seed)
    return PICTURE_DECODERS.build("conv", 5, 3, *size, channels=(8, 4), **options)


def vectors():
    return 3 * torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(36, 64), (9, 15), (1, 1), (37, 2)])
def test_any_size_in_pixels_odd_ones_too(size):
    pictures = built(size)(vectors())
    assert pictures.shape == (2, 4, 3, 3, *size)
    assert pictures.min() >= 0
    assert pictures.max() <= 1


def test_held_pictures_stand_still_and_others_move():
    held, moving = built((9, 16), held=True)(vectors()), built((9, 16))(vectors())
    assert torch.equal(held, held[:, :, :1].expand_as(held))
    assert (moving[:, :, 0] - moving[:, :, 1]).abs().max() > 1e-3


@pytest.mark.parametrize("held", [True, False])
def test_a_tr_is_drawn_from_its_own_vector(held):
    decoder, given = built((9, 16), held=held), vectors()
    changed = given.clone()
    changed[1, 2] += 1
    difference = (decoder(changed) - decoder(given)).abs().amax((2, 3, 4, 5))
    assert difference[1, 2] > 1e-4
    difference[1, 2] = 0
    assert difference.max() < 1e-6


def test_it_learns_a_picture_of_each_vector():
    decoder = built((8, 12))
    given = torch.eye(5)[None, :3]
    wanted = torch.zeros(1, 3, 3, 3, 8, 12)
    for tr, channel in enumerate((0, 1, 2)):
        wanted[:, tr, :, channel, :, 6 * (tr % 2) : 6 * (tr % 2) + 6] = 1
    optimiser = torch.optim.Adam(decoder.parameters(), 0.02)
    for _ in range(150):
        optimiser.zero_grad()
        loss = (decoder(given) - wanted).square().mean()
        loss.backward()
        optimiser.step()
    assert loss < 0.1 * wanted.var()
