"""Blocks come apart and together again, wherever they lie, in an order that is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import beep, disk_full_after

from subtr.stimulus.media import MediaError
from subtr.stimulus.pictures import Blocks, write_film

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


# A film is written whole or not at all.


def pictures(n):
    rng = np.random.default_rng(0)
    return (rng.integers(0, 256, (36, 64, 3), dtype=np.uint8) for _ in range(n))


def test_a_full_disk_is_said_and_the_film_that_was_there_stays(tmp_path):
    path = tmp_path / "film.mp4"
    write_film(path, pictures(4), 24, beep(0.1, 0.2), 16000)
    before = path.read_bytes()
    message = r"film\.mp4 cannot be written: .*Free space or choose"
    with disk_full_after(40_000), pytest.raises(MediaError, match=message):
        write_film(path, pictures(200), 24, beep(1.0, 8.0), 16000)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_ctrl_c_leaves_no_half_film(tmp_path):
    def interrupted():
        yield from pictures(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_film(tmp_path / "film.mp4", interrupted(), 24, None, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cuts", [[1], [1024, 2048], [500, 501, 9000]])
def test_sound_in_pieces_gives_the_same_film_as_sound_in_one(tmp_path, cuts):
    sound = beep(0.3, 0.9)
    whole = write_film(tmp_path / "whole.mp4", pictures(20), 24, sound, 16000)
    pieces = (piece for piece in np.split(sound, cuts))
    pieced = write_film(tmp_path / "pieced.mp4", pictures(20), 24, pieces, 16000)
    assert pieced.read_bytes() == whole.read_bytes()


def test_pieces_of_sound_are_taken_as_the_pictures_need_them(tmp_path):
    shown, ahead_s = 0, []

    def counted():
        nonlocal shown
        for picture in pictures(96):
            yield picture
            shown += 1

    def pieces():
        for second in range(4):
            ahead_s.append(second - shown / 24)
            yield np.zeros(16000, np.float32)

    write_film(tmp_path / "film.mp4", counted(), 24, pieces(), 16000)
    assert len(ahead_s) == 4
    assert max(ahead_s) <= 0.1
