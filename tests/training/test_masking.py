"""Masks hide exactly what they say, and decoders redraw only what is hidden."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from subtr.params import SettingsError
from subtr.training.pretraining import dual_masks, random_mask, running_cells, tube_mask

sizes = st.integers(1, 12)
seeds = st.integers(0, 2**31)
ratios = st.floats(0.05, 0.95)
spaces = st.tuples(sizes) | st.tuples(sizes, sizes)


def generator(seed):
    return torch.Generator().manual_seed(seed)


@given(sizes, sizes, st.integers(2, 40), ratios, seeds)
def test_a_tube_is_the_same_at_all_times_and_hides_an_exact_count(items, times, cells, ratio, seed):
    count = round(ratio * cells)
    assume(0 < count < cells)
    mask = tube_mask(items, times, cells, ratio, generator(seed))
    assert mask.shape == (items, times, cells)
    assert (mask == mask[:, :1]).all()
    assert (mask.sum(2) == count).all()
    assert torch.equal(mask, tube_mask(items, times, cells, ratio, generator(seed)))


@given(sizes, sizes, st.integers(2, 40), ratios, seeds)
def test_random_patches_hide_an_exact_count_of_the_whole_clip(items, times, cells, ratio, seed):
    count = round(ratio * times * cells)
    assume(0 < count < times * cells)
    mask = random_mask(items, times, cells, ratio, generator(seed))
    assert mask.shape == (items, times, cells)
    assert (mask.sum((1, 2)) == count).all()
    assert torch.equal(mask, random_mask(items, times, cells, ratio, generator(seed)))


@pytest.mark.parametrize("make", [tube_mask, random_mask])
def test_every_cell_is_hidden_as_often_as_the_ratio_says(make):
    often = make(4000, 3, 10, 0.9, generator(0)).float().mean((0, 1))
    torch.testing.assert_close(often, torch.full((10,), 0.9), rtol=0, atol=0.02)


def test_tubes_stay_and_random_patches_do_not():
    tubes, patches = (make(20, 8, 10, 0.5, generator(0)) for make in (tube_mask, random_mask))
    changes = [(mask[:, 1:] != mask[:, :-1]).float().mean().item() for mask in (tubes, patches)]
    assert changes[0] == 0
    assert changes[1] == pytest.approx(0.5, abs=0.05)


@given(sizes, spaces, st.sampled_from([1, 2, 3]), seeds)
def test_running_cells_choose_every_patch_equally_often_over_a_period(items, space, chosen, seed):
    mask = running_cells(items, 8, space, chosen / 4, generator(seed))
    for begin in range(5):
        assert (mask[:, begin : begin + 4].sum(1) == chosen).all()
    assert torch.equal(mask[:, 4:], mask[:, :-4])


@given(sizes, sizes, st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 2, 3]), seeds)
def test_every_whole_cell_has_its_share_at_every_time(items, times, rows, columns, chosen, seed):
    squares = running_cells(items, times, (2 * rows, 2 * columns), chosen / 4, generator(seed))
    squares = squares.view(items, times, rows, 2, columns, 2)
    assert (squares.sum((3, 5)) == chosen).all()
    bands = running_cells(items, times, (4 * rows,), chosen / 4, generator(seed))
    assert (bands.view(items, times, rows, 4).sum(3) == chosen).all()


@given(
    sizes, sizes, spaces, st.sampled_from(["tube", "random"]), ratios,
    st.sampled_from([None, 0.25, 0.5, 0.75]), seeds,
)  # fmt: skip
def test_nothing_is_both_seen_and_redrawn(items, times, space, kind, ratio, cells, seed):
    n_cells = torch.tensor(space).prod().item()
    total = n_cells if kind == "tube" else n_cells * times
    assume(0 < round(ratio * total) < total)
    hidden, redrawn = dual_masks(items, times, space, kind, ratio, cells, generator(seed))
    assert not (~hidden & redrawn).any()
    if cells is None:
        assert torch.equal(redrawn, hidden)
    elif kind == "tube":
        # Where a tube is hidden, the decoder redraws its share of it in any four times.
        four = redrawn.unfold(1, 4, 1).sum(-1) if times >= 4 else redrawn[:, :0]
        assert (four == 4 * cells * hidden[:, : four.shape[1]]).all()


def test_over_a_period_the_decoder_redraws_exactly_its_share_of_the_tubes():
    hidden, redrawn = dual_masks(50, 8, (10, 16), "tube", 0.9, 0.5, generator(3))
    assert hidden.float().mean() == pytest.approx(0.9)
    assert (redrawn.sum((1, 2)) == 0.5 * hidden.sum((1, 2))).all()
    assert not torch.equal(redrawn[:, 0], redrawn[:, 1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda g: tube_mask(1, 2, 8, 0.95, g), "mask_ratio = 0.95 hides 8 of 8 patches"),
        (lambda g: random_mask(1, 2, 4, 0.01, g), "mask_ratio = 0.01 hides 0 of 8 patches"),
        (lambda g: running_cells(1, 2, (8,), 0.3, g), "decoder_cells = 0.3: expected 0.25"),
        (lambda g: running_cells(1, 2, (8,), 1.0, g), "decoder_cells = 1: expected 0.25"),
    ],
)
def test_a_mask_that_would_hide_none_or_all_is_refused(make, message):
    with pytest.raises(SettingsError, match=message):
        make(generator(0))
