"""Arrays are computed once, are whole or not there, and a full disk takes nothing with it."""

import numpy as np
import pytest
from media_files import disk_full_after

from subtr.stimulus.cache import CacheError, cache_dir, cached_array, file_digest, write_array


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Counted:
    """Blocks of numbers, and how often they were asked for."""

    def __init__(self, n_blocks=5, fail_at=None, error=None):
        self.n_blocks, self.fail_at, self.error, self.times = n_blocks, fail_at, error, 0

    def __call__(self):
        self.times += 1
        for index in range(self.n_blocks):
            if index == self.fail_at:
                raise self.error
            yield np.arange(index * 6, index * 6 + 6, dtype=np.float32).reshape(2, 3)


EXPECTED = np.arange(30, dtype=np.float32).reshape(10, 3)


def test_it_is_computed_once_and_read_from_disk():
    compute = Counted()
    for _ in range(3):
        found = cached_array("mel", None, {"a": 1}, compute)
        np.testing.assert_array_equal(found, EXPECTED)
        assert not found.flags.writeable
    assert compute.times == 1


def test_content_and_settings_decide_not_the_name_of_the_file(tmp_path):
    compute = Counted()
    one, moved, other = (tmp_path / name for name in ("one.wav", "moved.wav", "other.wav"))
    one.write_bytes(b"same")
    moved.write_bytes(b"same")
    other.write_bytes(b"else")
    cached_array("mel", one, {"a": 1}, compute)
    cached_array("mel", moved, {"a": 1}, compute)
    assert compute.times == 1
    cached_array("mel", other, {"a": 1}, compute)
    cached_array("mel", one, {"a": 2}, compute)
    cached_array("pictures", one, {"a": 1}, compute)
    assert compute.times == 4


def test_a_file_that_changes_gets_another_digest(tmp_path):
    file = tmp_path / "film.mp4"
    file.write_bytes(b"first")
    before = file_digest(file)
    file.write_bytes(b"second")
    assert file_digest(file) != before


@pytest.mark.parametrize("damage", [b"", b"no array", None])
def test_a_damaged_file_is_computed_again(damage):
    compute = Counted()
    cached_array("mel", None, {}, compute)
    (file,) = cache_dir().iterdir()
    file.write_bytes(file.read_bytes()[:-8] if damage is None else damage)
    np.testing.assert_array_equal(cached_array("mel", None, {}, compute), EXPECTED)
    assert compute.times == 2


def test_a_full_disk_names_place_and_remedy_and_leaves_the_rest(cache):
    kept = cached_array("mel", None, {"a": 1}, Counted())
    before = sorted(cache.iterdir())
    many = Counted(n_blocks=4000)
    message = r"mel-\w+\.npy cannot be written: .*Free some space there, or set SUBTR_CACHE"
    with disk_full_after(50_000), pytest.raises(CacheError, match=message):
        cached_array("mel", None, {"a": 2}, many)
    assert sorted(cache.iterdir()) == before
    np.testing.assert_array_equal(kept, EXPECTED)
    # The same call, once there is space.
    assert len(cached_array("mel", None, {"a": 2}, many)) == 8000


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("broken")])
def test_what_was_interrupted_leaves_nothing_half_written(cache, error):
    with pytest.raises(type(error)):
        cached_array("mel", None, {}, Counted(fail_at=3, error=error))
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_made_names_the_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "file"))
    with pytest.raises(CacheError, match=r"file/mel-\w+\.npy cannot be written.*SUBTR_CACHE"):
        cached_array("mel", None, {}, Counted())


def test_blocks_that_do_not_fit_are_refused_and_not_kept(tmp_path):
    blocks = [np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)]
    with pytest.raises(ValueError, match=r"block of \(2, 4\)"):
        write_array(tmp_path / "out" / "a.npy", blocks)
    with pytest.raises(ValueError, match="no blocks"):
        write_array(tmp_path / "out" / "a.npy", [])
    assert list((tmp_path / "out").iterdir()) == []
