"""A film is written whole or not at all."""

import numpy as np
import pytest
from media_files import beep, disk_full_after

from subtr.stimulus.media import MediaError
from subtr.stimulus.pictures import write_film


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
