"""Blocks come apart and together again, wherever they lie, in an order that is known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from subtr.stimulus.pictures import Blocks

sides = st.integers(1, 9)


@settings(max_examples=40, deadline=None)
@given(sides, sides, st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_films_of_any_size_come_back_from_their_blocks(height, width, rows, columns, n_frames):
    blocks = Blocks(n_frames, 3, height, width, rows, columns)
    film = torch.rand(2, n_frames, 3, height, width)
    found = blocks.split(film)
    assert found.shape == (2, blocks.rows, blocks.columns, blocks.n_values)
    assert torch.equal(blocks.join(found), film)


def test_a_block_is_all_frames_of_its_rows_and_columns_in_their_order():
    film = torch.rand(1, 2, 3, 6, 8)
    found = Blocks(2, 3, 6, 8, 3, 4).split(film)
    assert torch.equal(found[0, 1, 0], film[0, :, :, 3:, :4].flatten())


def test_what_is_missing_in_a_block_is_its_last_row_and_column_again():
    film = torch.rand(1, 1, 1, 3, 3)
    (block,) = Blocks(1, 1, 3, 3, 4, 4).split(film).unflatten(3, (4, 4)).flatten(0, 2)
    assert torch.equal(block[:3, :3], film[0, 0, 0])
    assert torch.equal(block[3, :3], film[0, 0, 0, 2])
    assert torch.equal(block[:3, 3], film[0, 0, 0, :, 2])


@pytest.mark.parametrize(("dim", "n_features"), [(1, 1), (6, 1), (7, 2), (12, 2)])
def test_fewer_numbers_leave_out_the_last_features_of_the_last_places(dim, n_features):
    blocks = Blocks(1, 1, 4, 6, 2, 2)  # 2 x 3 blocks
    assert blocks.n_features(dim) == n_features
    codes = torch.arange(6.0 * n_features).reshape(1, n_features, 2, 3).permute(0, 2, 3, 1) + 1
    vector = blocks.ordered(codes, dim)
    assert vector.tolist() == [[float(number) for number in range(1, dim + 1)]]
    assert torch.equal(blocks.placed(vector), torch.where(codes <= dim, codes, 0))
