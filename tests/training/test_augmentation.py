"""What is masked, shifted and made noisy is known, and nothing else is touched."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from subtr.models.batches import with_context
from subtr.models.stream import AugmentationParams
from subtr.params import SettingsError
from subtr.training.augmentation import augment, shifted


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def sound(n_items=3, n_trs=4, n_frames=8, n_bands=6, seed=0):
    """No value is 0, so that a masked one shows."""
    return torch.rand(n_items, n_trs, n_frames, n_bands, generator=generator(seed)) + 0.5


def runs(masked):
    """Lengths of the stretches of True."""
    edges = np.flatnonzero(np.diff(np.r_[False, masked, False].astype(int)))
    return edges[1::2] - edges[::2]


def expected_share(n_masks, widest, length):
    """How often each place is under one of several masks, by listing every width and start."""
    over = np.zeros(length)
    for width in range(widest + 1):
        starts = length - width + 1
        for start in range(starts):
            over[start : start + width] += 1 / starts / (widest + 1)
    return 1 - (1 - over) ** n_masks


def test_nothing_asked_for_nothing_changed():
    frames = sound()
    assert torch.equal(augment(frames, AugmentationParams(), generator()), frames)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), n_masks=st.integers(1, 3), widest=st.integers(1, 7))
def test_time_masks_hide_whole_frames_no_more_than_said_and_nothing_else(seed, n_masks, widest):
    frames = sound(seed=seed)
    before = frames.clone()
    params = AugmentationParams(time_masks=n_masks, time_mask_frames=widest)
    found = augment(frames, params, generator(seed))
    assert torch.equal(frames, before)
    masked = (found == 0).all(-1)
    assert torch.equal(found[~masked], frames[~masked])
    for item in masked.flatten(1).numpy():
        assert item.sum() <= 4 * n_masks * widest
        assert len(runs(item)) <= 4 * n_masks


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), n_masks=st.integers(1, 3), widest=st.integers(1, 5))
def test_frequency_masks_hide_the_same_bands_of_all_an_item(seed, n_masks, widest):
    frames = sound(seed=seed)
    params = AugmentationParams(frequency_masks=n_masks, frequency_mask_bands=widest)
    found = augment(frames, params, generator(seed))
    masked = (found == 0).flatten(1, 2)
    assert torch.equal(masked, masked[:, :1].expand_as(masked))
    assert torch.equal(found[found != 0], frames[found != 0])
    for item in masked[:, 0].numpy():
        assert item.sum() <= n_masks * widest
        assert len(runs(item)) <= n_masks


@pytest.mark.parametrize(("n_masks", "widest"), [(1, 1), (1, 10), (3, 6)])
def test_one_mask_is_one_stretch_and_every_place_is_hidden_as_often_as_counted(n_masks, widest):
    frames = torch.ones(10_000, 1, 12, 11)
    in_time = AugmentationParams(time_masks=n_masks, time_mask_frames=widest)
    in_bands = AugmentationParams(frequency_masks=n_masks, frequency_mask_bands=widest)
    for params, other_axis, length in ((in_time, 2, 12), (in_bands, 1, 11)):
        masked = (augment(frames, params, generator()) == 0)[:, 0].all(other_axis)
        share = masked.float().mean(0).numpy()
        expected = expected_share(n_masks, widest, length)
        assert share.mean() == pytest.approx(expected.mean(), rel=0.05)
        np.testing.assert_allclose(share, expected, atol=0.02)
        if n_masks == 1:
            assert max(len(runs(item)) for item in masked[:500].numpy()) == 1
            assert masked.sum(1).unique().tolist() == list(range(widest + 1))


def test_longer_items_have_as_much_more_masks():
    params = AugmentationParams(time_masks=1, time_mask_frames=4)
    found = augment(torch.ones(300, 30, 8, 1), params, generator())
    share = (found == 0).float().mean().item()
    assert share == pytest.approx(expected_share(30, 4, 240).mean(), rel=0.03)


@settings(max_examples=30, deadline=None)
@given(shift=st.lists(st.integers(-40, 40), min_size=3, max_size=3), seed=st.integers(0, 99))
def test_a_shift_moves_every_frame_by_its_number_and_holds_the_edges(shift, seed):
    frames = sound(seed=seed).flatten(1, 2)
    found = shifted(frames, torch.tensor(shift))
    for item, by in enumerate(shift):
        for frame in range(32):
            origin = min(max(frame - by, 0), 31)
            assert torch.equal(found[item, frame], frames[item, origin])


def test_shifts_cross_the_borders_of_trs_and_take_every_allowed_number():
    frames = torch.arange(1.0, 33).view(1, 4, 8, 1).repeat(400, 1, 1, 1)
    found = augment(frames, AugmentationParams(shift_frames=3), generator())
    middle = (frames - found).flatten(1)[:, 3:-3]
    assert torch.equal(middle, middle[:, :1].expand_as(middle))
    numbers, counts = middle[:, 0].unique(return_counts=True)
    assert numbers.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    assert counts.min() > 400 / 7 / 2
    assert (found.min(), found.max()) == (1, 32)


def test_noise_has_its_size_and_leaves_masked_frames_alone():
    frames = sound(n_items=40, n_trs=10)
    params = AugmentationParams(time_masks=1, time_mask_frames=4, noise=0.3)
    mean = torch.arange(6.0) + 10
    found = augment(frames, params, generator(), mean=mean)
    masked = (found == mean).all(-1)
    assert 0.1 < masked.float().mean() < 0.3
    difference = (found - frames)[~masked]
    assert difference.std().item() == pytest.approx(0.3, rel=0.03)
    assert difference.mean().item() == pytest.approx(0, abs=0.01)


EVERYTHING = AugmentationParams(
    shift_frames=3,
    time_masks=1,
    time_mask_frames=3,
    frequency_masks=1,
    frequency_mask_bands=2,
    noise=0.1,
)


def test_the_same_generator_gives_the_same_and_goes_on_to_another():
    one = generator(5)
    first, second = augment(sound(), EVERYTHING, one), augment(sound(), EVERYTHING, one)
    assert torch.equal(augment(sound(), EVERYTHING, generator(5)), first)
    assert not torch.equal(first, second)


def test_items_differ_and_so_do_not_depend_on_global_randomness():
    torch.manual_seed(1)
    frames = sound()[:1].repeat(3, 1, 1, 1)
    first = augment(frames, EVERYTHING, generator())
    assert not torch.equal(first[0], first[1])
    torch.manual_seed(2)
    assert torch.equal(augment(frames, EVERYTHING, generator()), first)


@pytest.mark.parametrize("n_context", [1, 4, 8])
def test_trs_that_see_the_same_moment_in_their_context_see_it_alike(n_context):
    own = sound(n_items=1)[0]
    wide = with_context(own, n_context, np.zeros(4, dtype=int))[None]
    assert torch.equal(augment(wide, AugmentationParams(), generator(), 0.0, n_context), wide)
    found = augment(wide, EVERYTHING, generator(), context_frames=n_context)[0]
    assert not torch.equal(found, wide[0])
    assert found.shape == wide.shape[1:]
    for tr in range(3):
        assert torch.equal(found[tr, -2 * n_context :], found[tr + 1, : 2 * n_context])


def test_a_shift_with_context_brings_in_the_neighbours_frames():
    own = torch.arange(1.0, 33).view(4, 8, 1)
    wide = with_context(own, 2, np.zeros(4, dtype=int))[None].repeat(50, 1, 1, 1)
    found = augment(wide, AugmentationParams(shift_frames=2), generator(), context_frames=2)
    shift = (wide - found)[:, 2, 4:-4]
    assert torch.equal(shift, shift[:, :1].expand_as(shift))
    assert shift.unique().tolist() == [-2, -1, 0, 1, 2]


def test_pictures_are_hidden_whole_and_shifted():
    pictures = torch.rand(5, 3, 4, 3, 2, 6, generator=generator()) + 0.1
    mean = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)
    params = AugmentationParams(time_masks=1, time_mask_frames=3)
    found = augment(pictures, params, generator(), mean=mean)
    masked = (found == mean).flatten(3).all(-1)
    assert 0 < masked.float().mean() < 0.5
    assert torch.equal(found[~masked], pictures[~masked])
    moved = augment(pictures, AugmentationParams(shift_frames=1), generator(3))
    possible = [shifted(pictures.flatten(1, 2), torch.full((5,), by)) for by in (-1, 0, 1)]
    for item in range(5):
        assert any(torch.equal(moved[item].flatten(0, 1), one[item]) for one in possible)
    assert not torch.equal(moved, pictures)


@pytest.mark.parametrize(
    ("options", "frames", "message"),
    [
        ({"shift_frames": 32}, sound(), "shift_frames = 32: expected less than the 32 frames"),
        ({"time_masks": 1, "time_mask_frames": 99}, sound(), "time_mask_frames = 99"),
        ({"frequency_masks": 1, "frequency_mask_bands": 6}, sound(), "than the 6 bands"),
        (
            {"frequency_masks": 1, "frequency_mask_bands": 1},
            torch.zeros(1, 2, 4, 3, 2, 2),
            "pictures have no bands",
        ),
    ],
)
def test_masks_without_room_are_refused(options, frames, message):
    with pytest.raises(SettingsError, match=message):
        augment(frames, AugmentationParams(**options), generator())


@pytest.mark.parametrize(
    "options", [{"time_masks": 2}, {"frequency_mask_bands": 2}, {"noise": -1}, {"shift": 2}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValidationError):
        AugmentationParams(**options)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_generator_on_the_cpu_gives_the_same_on_every_device():
    here = augment(sound(), EVERYTHING, generator())
    there = augment(sound().cuda(), EVERYTHING, generator())
    torch.testing.assert_close(there.cpu(), here)
