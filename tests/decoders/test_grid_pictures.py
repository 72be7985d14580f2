"""A vector as a grid: each number draws around its own place and picture, everywhere alike."""

import pytest
import torch

from subtr.decoders import PICTURE_DECODERS
from subtr.encoders.video_convolutions import PictureVector
from subtr.errors import SettingsError

N_PICTURES, ROWS, COLUMNS = 4, 6, 8  # of patches


def built(features=2, size=(24, 32), **options):
    torch.manual_seed(0)
    dim = N_PICTURES * ROWS * COLUMNS * features
    options = {"hidden_dim": 6, "depth": 1} | options
    return PICTURE_DECODERS.build("grid_pictures", dim, N_PICTURES, *size, **options)


def vector_of(picture, feature, row, column, features=2):
    grid = torch.zeros(N_PICTURES, features, ROWS, COLUMNS)
    grid[picture, feature, row, column] = 1
    return grid.flatten()[None, None]


@torch.no_grad()
def test_a_number_draws_around_its_own_place_and_picture():
    decoder = built(depth=0)
    ground = decoder(torch.zeros(1, 1, N_PICTURES * ROWS * COLUMNS * 2))
    drawn = (decoder(vector_of(2, 1, 3, 4)) - ground)[0, 0].abs().amax(1)
    assert drawn[:, 12:16, 16:20].amax((1, 2))[2] > 1e-3
    far = drawn.clone()
    far[:, 6:22, 10:26] = 0  # a convolution over 3 patches, drawn half a patch further
    assert far.max() == 0
    assert drawn[0].max() > 0  # two convolutions over 3 pictures
    assert built(depth=0)(vector_of(0, 0, 3, 4))[0, 0, 3].equal(ground[0, 0, 3])


@torch.no_grad()
def test_what_is_moved_by_a_patch_is_drawn_alike():
    decoder = built(size=(24, 32))
    here, there = decoder(vector_of(1, 0, 2, 3)), decoder(vector_of(1, 0, 3, 4))
    torch.testing.assert_close(here[..., 6:14, 8:20], there[..., 10:18, 12:24], atol=1e-5, rtol=0)


def test_the_order_is_that_of_an_encoders_grid():
    torch.manual_seed(0)
    features = torch.rand(1, 5, N_PICTURES, ROWS, COLUMNS)
    vector = PictureVector(5, ROWS, COLUMNS, 2, "grid")
    level = vector(features)
    assert vector.out_dim == 2 * ROWS * COLUMNS == level.shape[2]
    decoder = built(depth=0)
    seen = {}
    decoder.open.register_forward_hook(lambda module, given, made: seen.update(given=given[0]))
    decoder(level.flatten(1)[None])
    expected = torch.einsum("b c p h w, d c -> b d p h w", features, vector.map.weight)
    expected = expected + vector.map.bias[:, None, None, None]
    torch.testing.assert_close(seen["given"], expected)


@pytest.mark.parametrize("size", [(23, 32), (21, 29)])
def test_sizes_that_are_no_multiple_of_a_patch(size):
    assert built(size=size)(vector_of(0, 0, 0, 0)).shape == (1, 1, N_PICTURES, 3, *size)


def test_vectors_that_do_not_divide_are_refused():
    with pytest.raises(SettingsError, match=r"floats_per_tr = 200: expected a multiple of 192"):
        PICTURE_DECODERS.build("grid_pictures", 200, N_PICTURES, 24, 32)


def test_it_learns_to_draw_what_a_grid_tells_of_places_that_it_has_not_seen():
    decoder = built(features=1, size=(24, 32), hidden_dim=12)
    optimiser = torch.optim.Adam(decoder.parameters(), 1e-2)

    def told_and_shown(columns):
        vectors, films = [], torch.full((len(columns), 1, N_PICTURES, 3, 24, 32), 0.5)
        for film, column in zip(films, columns, strict=True):
            grid = torch.zeros(N_PICTURES, 1, ROWS, COLUMNS)
            for picture in range(N_PICTURES):
                grid[picture, 0, 2, column + picture] = 1
                film[0, picture, :, 8:12, 4 * (column + picture) :][..., :4] = 1
            vectors.append(grid.flatten())
        return torch.stack(vectors)[:, None], films

    for _ in range(60):
        vectors, films = told_and_shown([1, 2, 4])
        optimiser.zero_grad()
        (decoder(vectors) - films).square().mean().backward()
        optimiser.step()
    vectors, films = told_and_shown([3])
    assert (decoder(vectors) - films).square().mean() < 0.1 * films.var()
