"""Studies by name, data by place, files by address and digest."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from subtr.datasets import STUDIES, load_study
from subtr.datasets.fetch import fetch, find_data
from subtr.params import SettingsError, StudyError
from subtr.stimulus.cache import cache_dir


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder, its address on this machine, and what was asked of it."""
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SUBTR_OFFLINE")  # to ask this machine alone
    folder, asked = tmp_path / "site", []
    folder.mkdir()

    class Counting(Quiet):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Counting, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("wrong", "right"), [("simulate", "simulated"), ("alcie", "alice"), ("films", "film")]
)
def test_an_unknown_study_gets_the_nearest_name(wrong, right):
    with pytest.raises(SettingsError, match=f"Did you mean '{right}'"):
        load_study(wrong)


@pytest.mark.parametrize("name", sorted(STUDIES.parts))
def test_options_are_checked_before_anything_is_loaded(name):
    with pytest.raises(SettingsError, match="Did you mean 'frames_per_tr'"):
        load_study(name, {"frames_per_trs": 32})
    with pytest.raises(SettingsError, match="tr_s = 1500"):
        load_study(name, {"tr_s": 1500})


def test_options_come_from_yaml_as_plain_values():
    options = STUDIES.check("film", {"mel": {"n_mels": 40}, "pictures": None, "bold": "x/y"})
    assert options["mel"].n_mels == 40
    assert options["pictures"] is None
    assert options["bold"].name == "y"


def test_data_are_found_in_the_users_folder_before_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SUBTR_DATA", str(tmp_path / "own"))
    cached = tmp_path / "cache" / "data" / "alice"
    cached.mkdir(parents=True)
    assert find_data("alice") == cached
    (tmp_path / "own" / "alice").mkdir(parents=True)
    assert find_data("alice") == tmp_path / "own" / "alice"


def test_missing_data_say_where_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SUBTR_DATA", raising=False)
    with pytest.raises(StudyError, match=r"github\.com/daandouwe/Thesis.*SUBTR_DATA"):
        load_study("alice")


def test_a_file_is_fetched_once(served):
    folder, address, asked = served
    (folder / "words.txt").write_bytes(b"Alice was beginning")
    for _ in range(2):
        file = fetch(f"{address}/words.txt", sha256(b"Alice was beginning"), "words.txt")
        assert file == cache_dir() / "data" / "words.txt"
        assert file.read_bytes() == b"Alice was beginning"
    assert asked == ["/words.txt"]


def test_other_content_is_refused_and_not_kept(served):
    folder, address, _ = served
    (folder / "words.txt").write_bytes(b"changed")
    with pytest.raises(StudyError, match="other content"):
        fetch(f"{address}/words.txt", sha256(b"original"), "words.txt")
    assert list((cache_dir() / "data").iterdir()) == []


def test_no_such_address_is_said(served):
    _, address, _ = served
    with pytest.raises(StudyError, match=r"missing\.txt cannot be fetched"):
        fetch(f"{address}/missing.txt", sha256(b""), "missing.txt")


def test_offline_is_said(served, tmp_path):
    _, _, _ = served
    with pytest.raises(StudyError, match="Connect to the internet, or copy"):
        fetch("http://127.0.0.1:9/words.txt", sha256(b""), "words.txt")


def test_an_unwritable_cache_is_said(served, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match="set SUBTR_CACHE"):
        fetch(f"{served[1]}/words.txt", sha256(b""), "words.txt")
