"""Blocks of the finest level are mapped alike, and deeper levels add nothing before they learn."""

import pytest
import torch

from subtr.aggregators import AGGREGATORS
from subtr.params import SettingsError

PIXELS = 3 * 4 * 6


def built(dim=8, deeper=True, **options):
    torch.manual_seed(0)
    dims, frames = ([PIXELS, 5], [2, 2]) if deeper else ([PIXELS], [2])
    options = {"channels": 3, "height": 4, "block": [2, 3]} | options
    return AGGREGATORS.build("blocks", dims, frames, dim, **options)


def levels(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, 2, dim, generator=generator) for dim in (PIXELS, 5)]


def test_the_same_block_gives_the_same_numbers_at_every_place():
    made = built(deeper=False)
    block = torch.randn(1, 2, 3, 2, 3)
    nothing = made([torch.zeros(1, 2, PIXELS)]).unflatten(1, (2, 2, 2))
    for row in range(2):
        for column in range(2):
            film = torch.zeros(1, 2, 3, 4, 6)
            film[..., 2 * row :, 3 * column :][..., :2, :3] = block
            found = made([film.flatten(2)]).unflatten(1, (2, 2, 2))  # feature, row, column
            expected = nothing.clone()
            expected[0, :, row, column] = made.basis(block.flatten())
            torch.testing.assert_close(found, expected)


def test_deeper_levels_add_nothing_at_the_start_and_are_learned_from():
    made, given = built(), levels()
    torch.testing.assert_close(made(given), made([given[0], torch.zeros(3, 2, 5)]))
    made(given).square().sum().backward()
    assert made.maps[0].weight.grad.abs().max() > 1e-3


def test_bands_of_sound_are_blocks_of_one_row():
    made = AGGREGATORS.build("blocks", [8], [4], 2, block=[1, 4])
    level = torch.randn(1, 4, 8)
    expected = torch.cat([made.basis(part.flatten()) for part in level.split(4, dim=2)])
    torch.testing.assert_close(made([level])[0], expected)


def test_features_that_are_no_pictures_of_that_height_are_refused():
    with pytest.raises(SettingsError, match=r"height = 5: expected .* divide the 72 features"):
        built(height=5)
