"""Pictures drawn by blocks: alike at every place, each TR by itself, any number of floats."""

import pytest
import torch

from subtr.decoders import PICTURE_DECODERS

SIZE = (6, 8)


def built(dim=8, **options):
    torch.manual_seed(0)
    options = {"block": [3, 4], "hidden_dim": 4, "depth": 1, "patch_pixels": 2} | options
    return PICTURE_DECODERS.build("block_pictures", dim, 2, *SIZE, **options)


@pytest.mark.parametrize("hidden_dim", [0, 4])
def test_numbers_draw_the_same_block_at_every_place_at_the_start(hidden_dim):
    decoder = built(hidden_dim=hidden_dim)
    numbers = torch.randn(2)
    expected = decoder.map(numbers).unflatten(0, (2, 3, 3, 4))
    for row in range(2):
        for column in range(2):
            vector = torch.zeros(2, 2, 2)  # feature, row, column
            vector[:, row, column] = numbers
            (film,) = decoder(vector.flatten()[None, None])[0]
            found = film[..., 3 * row :, 4 * column :][..., :3, :4]
            torch.testing.assert_close(found, expected)


def test_numbers_that_are_left_out_count_as_none():
    decoder, vectors = built(dim=7), torch.randn(1, 2, 7)
    whole = torch.nn.functional.pad(vectors, (0, 1))
    expected = built(dim=8)(whole)
    torch.testing.assert_close(decoder(vectors), expected)


def test_a_tr_is_drawn_from_its_own_vector():
    decoder, given = built(), torch.randn(2, 3, 8)
    torch.nn.init.normal_(decoder.refinement.give.weight)
    changed = given.clone()
    changed[1, 2] += 1
    difference = (decoder(changed) - decoder(given)).abs().amax((2, 3, 4, 5))
    assert difference[1, 2] > 1e-3
    difference[1, 2] = 0
    assert difference.max() < 1e-5
