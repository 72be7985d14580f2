"""Block PCA is PCA of the blocks, weighs what it is told to, and knows only what it was shown."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from subtr.models.linear import BlockPCABaseline
from subtr.params import SettingsError
from subtr.stimulus.pictures import Blocks

BLOCKS = Blocks(2, 3, 4, 6, 2, 3)
TRAIN = [np.arange(10), np.arange(14, 40)]


def films(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(40, 2, 3, 4, 6, generator=generator)


def fitted(n_floats, frames=None, **weights):
    frames = films() if frames is None else frames
    return BlockPCABaseline(BLOCKS, n_floats, **weights).fit(frames, TRAIN)


@pytest.mark.parametrize("weights", [(1, 1), (3, 2)])
def test_all_numbers_give_the_pictures_back(weights):
    baseline = fitted(4 * BLOCKS.n_values, deviation_weight=weights[0], grey_weight=weights[1])
    torch.testing.assert_close(baseline.reconstruct(films()), films(), atol=1e-3, rtol=0)


def test_of_frames_that_are_one_block_it_is_principal_component_analysis():
    generator = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(72, 3, generator=generator))
    scores = torch.randn(40, 3, generator=generator) * torch.tensor([5.0, 2.0, 1.0])
    windows = scores @ basis.T + 0.01 * torch.randn(40, 72, generator=generator)
    frames = windows.unflatten(1, (1, 3, 4, 6))
    baseline = BlockPCABaseline(Blocks(1, 3, 4, 6, 4, 6), 2, 1, 1).fit(frames, TRAIN)
    pca = PCA(2).fit(windows[np.concatenate(TRAIN)])
    expected = pca.inverse_transform(pca.transform(windows.numpy()))
    found = baseline.reconstruct(frames).flatten(1).numpy()
    # It draws the 36 windows 20 000 times: the same but for how often each is drawn.
    np.testing.assert_allclose(found, expected, atol=0.12)


def test_numbers_have_variance_one_over_what_was_learned_from():
    codes = fitted(8).encode(films()[TRAIN[1]])
    assert codes.unflatten(1, (2, 4)).std((0, 2)) == pytest.approx(np.ones(2), abs=0.25)


def planted():
    """A loud colour that stands still, and a faint brightness that moves to and fro."""
    generator = torch.Generator().manual_seed(0)
    colour = torch.tensor([0.587, -0.299, 0.0])[:, None, None]  # of no brightness
    loud = torch.randn(40, 1, 1, 1, 1, generator=generator) * colour
    faint = 0.2 * torch.randn(40, 1, 1, 1, 1, generator=generator)
    swing = torch.tensor([1.0, -1.0])[:, None, None, None]
    moving = (faint * swing).expand(40, 2, 3, 4, 6)
    return loud.expand(40, 2, 3, 4, 6) + moving, moving


def test_weights_decide_what_few_numbers_keep():
    film, moving = planted()

    def moved(**weights):
        # As long blocks begin at any picture, those between two TRs swing less: none here.
        baseline = BlockPCABaseline(BLOCKS, 4, **weights).fit(
            film, [np.array([tr]) for tr in range(40)]
        )
        found = baseline.reconstruct(film)
        deviation = found - found.mean(1, keepdim=True)
        return 1 - float((deviation - moving).square().sum() / moving.square().sum())

    assert moved(deviation_weight=1, grey_weight=1) < 0.1
    assert moved(deviation_weight=10, grey_weight=1) > 0.9
    assert moved(deviation_weight=1, grey_weight=10) > 0.9


def test_what_it_was_not_shown_changes_nothing():
    other = films()
    other[10:14] = 7.0
    honest, again = fitted(8), fitted(8, other)
    assert torch.equal(honest.analysis, again.analysis)
    assert torch.equal(honest.synthesis, again.synthesis)


def test_what_moves_anywhere_is_known_everywhere():
    # Learned from the left half of blocks alone, drawn in the right half.
    generator = torch.Generator().manual_seed(0)
    shapes = torch.randn(2, 18 * 2, generator=generator)
    blocks = Blocks(2, 3, 2, 6, 2, 3)

    def shown(n, column):
        film = torch.zeros(n, 2, 3, 2, 6)
        mixed = torch.randn(n, 2, generator=generator) @ shapes
        film[..., column : column + 3] = mixed.reshape(n, 2, 3, 2, 3)
        return film

    # A film that is one block wide leaves no other place to learn from.
    narrow = Blocks(2, 3, 2, 3, 2, 3)
    learned = [np.array([tr]) for tr in range(40)]
    baseline = BlockPCABaseline(narrow, 2).fit(shown(40, 0)[..., :3], learned)
    wide = BlockPCABaseline(blocks, 4)
    for name in ("analysis", "offset", "synthesis", "mean"):
        setattr(wide, name, getattr(baseline, name))
    film = shown(10, 3)
    torch.testing.assert_close(wide.reconstruct(film), film, atol=0.05, rtol=0)


def test_more_numbers_than_values_are_refused():
    with pytest.raises(SettingsError, match=f"hold at most {BLOCKS.n_values} components"):
        fitted(4 * BLOCKS.n_values + 1)
