"""Downloads that go on where they broke off, against a server of our own that cuts connections."""

import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from subtr.datasets import fetch as open_studies
from subtr.datasets.fetch import (
    OPEN_STUDIES,
    ResumableDownloader,
    fetch,
    fetch_study,
    find_data,
    part_file,
    registry_file,
)
from subtr.params import SettingsError, StudyError
from subtr.stimulus.cache import cache_dir

CONTENT = np.random.default_rng(0).bytes(400_000)


class Cutting(BaseHTTPRequestHandler):
    """Sends some bytes of each answer, then hangs up; knows ranges, or does not."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        content = server.files.get(self.path)
        asked = self.headers.get("Range")
        server.asked.append((self.path, asked))
        if content is None:
            self.send_error(404)
            return
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
        if first >= len(content) and asked and server.ranges:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = content[first:]
        self.send_response(206 if asked and server.ranges else 200)
        if asked and server.ranges:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = server.cuts.pop(0) if server.cuts else None
        self.wfile.write(body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.connection.close()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBTR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SUBTR_OFFLINE", raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cutting)
    server.files, server.asked, server.cuts, server.ranges = {"/a.bin": CONTENT}, [], [], True
    server.url = f"http://127.0.0.1:{server.server_port}/a.bin"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def quick(**options):
    return ResumableDownloader(wait_s=0.0, **options)


def starts(server):
    """Where each request began."""
    return [int((asked or "bytes=0-")[6:-1]) for _, asked in server.asked]


def test_a_cut_connection_goes_on_where_it_broke(server, tmp_path):
    server.cuts = [150_000, 100_000]
    quick()(server.url, tmp_path / "got.bin")
    assert (tmp_path / "got.bin").read_bytes() == CONTENT
    assert starts(server)[0] == 0
    assert starts(server) == sorted(starts(server))
    assert len(server.asked) == 3
    # Nothing is asked for twice beyond what lay in the socket.
    assert starts(server)[2] > 100_000


def test_another_call_goes_on_where_one_gave_up(server, tmp_path):
    server.cuts = [200_000, 0, 0, 0]
    with pytest.raises(Exception, match=r"(?i)connection|incomplete|read"):
        quick(tries=3)(server.url, tmp_path / "got.bin")
    part = part_file(server.url, tmp_path)
    there = part.stat().st_size
    assert 0 < there <= 200_000
    server.cuts, server.asked = [], []
    quick()(server.url, tmp_path / "got.bin")
    assert starts(server) == [there]
    assert (tmp_path / "got.bin").read_bytes() == CONTENT
    assert not part.exists()


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    server.ranges, server.cuts = False, [150_000]
    quick()(server.url, tmp_path / "got.bin")
    assert (tmp_path / "got.bin").read_bytes() == CONTENT


def test_a_part_that_is_whole_is_taken_and_one_too_long_begun_anew(server, tmp_path):
    part_file(server.url, tmp_path).write_bytes(CONTENT)
    quick()(server.url, tmp_path / "got.bin")
    part_file(server.url, tmp_path).write_bytes(CONTENT + b"more")
    quick()(server.url, tmp_path / "again.bin")
    for name in ("got.bin", "again.bin"):
        assert (tmp_path / name).read_bytes() == CONTENT


def test_a_wrong_part_is_caught_by_the_digest_and_not_kept(server):
    digest = hashlib.sha256(CONTENT).hexdigest()
    folder = cache_dir() / "data"
    folder.mkdir(parents=True)
    part_file(server.url, folder).write_bytes(b"another file's beginning")
    with pytest.raises(StudyError, match="other content"):
        fetch(server.url, digest, "a.bin")
    assert fetch(server.url, digest, "a.bin").read_bytes() == CONTENT


def test_offline_asks_nothing_and_says_so(server, monkeypatch):
    monkeypatch.setenv("SUBTR_OFFLINE", "1")
    with pytest.raises(StudyError, match=r"SUBTR_OFFLINE is set.*Connect to the internet, or copy"):
        fetch(server.url, hashlib.sha256(CONTENT).hexdigest(), "a.bin")
    assert server.asked == []


@pytest.fixture
def published(server, tmp_path, monkeypatch):
    """A small open study on the server: two files, one in a folder."""
    server.files["/words"] = b"Alice was beginning"
    base = server.url.removesuffix("/a.bin")
    lines = [f"{name} {hashlib.sha256(server.files[path]).hexdigest()} {base}{path}\n"
             for name, path in (("roi/a.bin", "/a.bin"), ("words.txt", "/words"))]  # fmt: skip
    (tmp_path / "small.txt").write_text("".join(lines))
    monkeypatch.setattr(open_studies, "registry_file", lambda name: tmp_path / f"{name}.txt")
    monkeypatch.setitem(OPEN_STUDIES, "small", OPEN_STUDIES["alice"])
    monkeypatch.setenv("SUBTR_DATA", str(tmp_path / "none"))
    return server


def test_an_open_study_is_fetched_whole_and_once(published):
    found = find_data("small")
    assert found == cache_dir() / "data" / "small"
    assert (found / "roi" / "a.bin").read_bytes() == CONTENT
    n_asked = len(published.asked)
    assert find_data("small") == found
    assert len(published.asked) == n_asked


def test_half_a_study_is_never_taken_for_it(published):
    del published.files["/words"]
    with pytest.raises(StudyError, match=r"small are missing.*could not be fetched: .*words\.txt"):
        find_data("small")
    assert not (cache_dir() / "data" / "small").exists()
    published.files["/words"], published.asked[:] = b"Alice was beginning", []
    assert (find_data("small") / "words.txt").is_file()
    # What had come was kept.
    assert [path for path, _ in published.asked] == ["/words"]


def test_changed_content_is_refused(published):
    published.files["/words"] = b"Alice was ending"
    with pytest.raises(StudyError, match=r"other content than the expected SHA-256"):
        fetch_study("small")


def test_only_registered_studies_can_be_fetched():
    with pytest.raises(SettingsError, match="only alice, sherlock can be fetched"):
        fetch_study("hamlet")


@pytest.mark.parametrize("name", ["alice", "sherlock"])
def test_registries_hold_the_digests_of_the_files_that_loaders_read(data_dir, name):
    lines = registry_file(name).read_text().splitlines()
    assert len(lines) == {"alice": 146, "sherlock": 9}[name]
    for line in lines:
        file, digest, address = line.split(" ")
        assert hashlib.sha256((data_dir / name / file).read_bytes()).hexdigest() == digest
        assert address.startswith("https://raw.githubusercontent.com/")
        assert os.path.basename(file) == address.rpartition("/")[2]
