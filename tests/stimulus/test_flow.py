"""Flow of textures that are moved by known amounts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from subtr.stimulus.flow import consistent_pixels, next_flow, optical_flow

HEIGHT, WIDTH = 48, 80
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH].astype(float)
INSIDE = (slice(8, -8), slice(8, -8))


def texture(seed=0, size=160):
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((size, size)), 2.0)
    return 127 + 100 * noise / np.abs(noise).max()


def shown(rows, columns, seed=0):
    """The texture at these places, as a grey picture in three colours."""
    values = map_coordinates(texture(seed), [rows + 40, columns + 40], order=3, mode="wrap")
    return np.rint(values).clip(0, 255).astype(np.uint8)[..., None].repeat(3, axis=-1)


def moved(right, down, n_pictures=3, seed=0):
    return np.stack([shown(ROWS - k * down, COLUMNS - k * right, seed) for k in range(n_pictures)])


@settings(max_examples=15, deadline=None)
@given(right=st.floats(-4, 4), down=st.floats(-4, 4), seed=st.integers(0, 100))
def test_a_texture_that_is_moved_flows_by_as_much_of_a_pixel(right, down, seed):
    flow = optical_flow(moved(right, down, seed=seed))
    assert not flow[0].any()
    for picture in flow[1:]:
        found = picture[INSIDE]
        assert np.median(found[..., 0]) == pytest.approx(right, abs=0.1)
        assert np.median(found[..., 1]) == pytest.approx(down, abs=0.1)
        assert np.abs(found - [right, down]).mean() < 0.2


def test_a_texture_that_turns_flows_around_its_middle():
    angle = 0.05
    y, x = ROWS - HEIGHT / 2, COLUMNS - WIDTH / 2
    # A pixel shows what was, before the turn, where the turn back leads.
    before = np.cos(angle) * y - np.sin(angle) * x, np.cos(angle) * x + np.sin(angle) * y
    pictures = np.stack(
        [shown(ROWS, COLUMNS), shown(before[0] + HEIGHT / 2, before[1] + WIDTH / 2)]
    )
    flow = optical_flow(pictures)[1]
    true = np.stack([x - before[1], y - before[0]], axis=-1)
    assert np.abs(flow - true)[INSIDE].mean() < 0.1
    assert np.abs(true[INSIDE]).mean() > 0.5


def test_what_stands_still_does_not_flow():
    still = np.repeat(moved(0, 0, 1), 4, axis=0)
    assert np.abs(optical_flow(still)).max() < 1e-3
    assert not optical_flow(np.full((3, 9, 16, 3), 7, np.uint8)).any()


def test_films_of_a_batch_do_not_touch_each_other():
    films = np.stack([[moved(1, 0)], [moved(-2, 1)], [moved(0, 3)]])
    flow = optical_flow(films)
    assert flow.shape == (3, 1, 3, HEIGHT, WIDTH, 2)
    for index in range(3):
        assert np.array_equal(flow[index, 0], optical_flow(films[index, 0]))
    # Nor does what is found depend on pictures further off than the one before.
    assert np.array_equal(flow[0, 0, 2], optical_flow(films[0, 0, 1:])[1])


def test_floats_from_0_to_1_are_integers_from_0_to_255():
    film = moved(1.5, 0)
    assert np.array_equal(optical_flow(film), optical_flow(film / 255))
    assert np.array_equal(optical_flow(film), optical_flow((film / 255).astype(np.float32)))


def test_a_small_picture_flows_in_its_own_pixels():
    small = moved(4, -4)[:, ::1].reshape(3, 12, 4, 20, 4, 3).mean((2, 4)) / 255
    found = optical_flow(small)[1, 2:-2, 2:-2]
    assert np.median(found, axis=(0, 1)) == pytest.approx([1, -1], abs=0.2)


def test_the_next_flow_is_that_of_the_film_backwards_turned_around():
    film = moved(1, 2)
    assert np.array_equal(next_flow(film), -optical_flow(film[::-1])[::-1] + 0.0)
    assert not next_flow(film)[-1].any()


def test_flow_is_trusted_on_a_moving_texture_and_not_after_a_cut():
    film = np.concatenate([moved(2, 0, 3), moved(2, 0, 2, seed=9)])
    kept = consistent_pixels(film, optical_flow(film))
    assert not kept[0].any()
    assert kept[[1, 2, 4]][(slice(None), *INSIDE)].mean() > 0.97
    assert kept[3].mean() < 0.3


def test_flow_that_is_trusted_is_nearer_to_the_truth_around_what_moves_in_front():
    film = np.repeat(moved(0, 0, 1), 2, axis=0)
    patch = shown(ROWS, COLUMNS, seed=5)[:16, :16]
    film[0, 16:32, 20:36], film[1, 16:32, 26:42] = patch, patch
    true = np.zeros((HEIGHT, WIDTH, 2))
    true[16:32, 26:42, 0] = 6
    flow = optical_flow(film)
    kept = consistent_pixels(film, flow)[1]
    error = np.linalg.norm(flow[1] - true, axis=-1)
    assert error[kept].mean() < 0.2 * error[~kept].mean()
    assert kept[:, 60:].mean() > 0.97
    assert kept[20:28, 30:38].mean() > 0.25  # enough to judge by
