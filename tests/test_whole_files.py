"""A file is there as a whole or not at all."""

import pytest

from subtr.params import whole_file


def test_a_file_takes_its_name_when_all_of_it_is_written(tmp_path):
    file = tmp_path / "a.txt"
    with whole_file(file) as part:
        part.write_text("half")
        assert not file.exists()
    assert file.read_text() == "half"
    assert list(tmp_path.iterdir()) == [file]


def half(file, error):
    with whole_file(file) as part:
        part.write_text("half")
        raise error


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_what_broke_off_vanishes_and_the_file_before_it_stays(tmp_path, error):
    file = tmp_path / "a.txt"
    file.write_text("before")
    with pytest.raises(error):
        half(file, error)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]
