"""A film that is drawn sharper: begins as it was, learns what moves, everywhere alike."""

import pytest
import torch

from subtr.decoders.pictures import FilmRefinement


@torch.no_grad()
@pytest.mark.parametrize("size", [(36, 64), (9, 15), (37, 2)])
def test_it_begins_as_the_identity_at_any_size(size):
    film = torch.rand(2, 3, 4, *size)
    torch.testing.assert_close(FilmRefinement(6, depth=1, patch_pixels=4)(film), film)


@torch.no_grad()
def test_what_is_moved_by_a_patch_is_refined_alike():
    torch.manual_seed(0)
    refine = FilmRefinement(hidden_dim=6, depth=2, patch_pixels=4)
    torch.nn.init.normal_(refine.give.weight)
    film = torch.zeros(1, 3, 4, 64, 64)
    film[..., 26:34, 26:34] = torch.rand(3, 4, 8, 8)
    moved = refine(film.roll(4, dims=-1)) - refine(film).roll(4, dims=-1)
    assert moved[..., 16:48, 16:48].abs().max() < 1e-4


def test_it_learns_to_draw_sharp_what_is_given_blurred():
    torch.manual_seed(0)
    refine = FilmRefinement(hidden_dim=12, depth=1, patch_pixels=4)
    optimiser = torch.optim.Adam(refine.parameters(), 1e-2)

    def blurred_and_sharp(n):
        sharp = torch.zeros(n, 3, 4, 16, 24)
        for film in sharp:  # a square that moves, two pixels a picture, from anywhere
            row, column = torch.randint(10, ()), torch.randint(10, ())
            for picture in range(4):
                film[:, picture, row : row + 5, column + 2 * picture :][..., :5] = 1
        blurred = torch.nn.functional.avg_pool3d(sharp, (1, 5, 5), 1, (0, 2, 2))
        return blurred, sharp

    for _ in range(60):
        blurred, sharp = blurred_and_sharp(8)
        optimiser.zero_grad()
        (refine(blurred) - sharp).square().mean().backward()
        optimiser.step()
    blurred, sharp = blurred_and_sharp(16)  # squares that it has not seen
    after = (refine(blurred) - sharp).square().mean()
    assert after < 0.6 * (blurred - sharp).square().mean()
