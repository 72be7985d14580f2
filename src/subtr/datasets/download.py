"""Downloads that go on where they broke off, and say what to do when they cannot."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from subtr.params import StudyError
from subtr.stimulus.cache import CacheError

_CHUNK_BYTES = 1 << 16


class ResumableDownloader:
    """Fetches a file over HTTP for pooch (its ``downloader``), resuming by a Range request.

    What has come lies in a hidden ``.part`` file beside the target, named by the address, and stays
    there when the connection fails for good; the next call, of another process too, asks for the
    rest alone. A server without ranges sends all of it again. Whether the parts fit is for pooch to
    check, by the digest of the whole.

    Arguments
        timeout_s: seconds to wait for the server, each time.
        tries: how often in a row it may fail without sending anything.
        wait_s: seconds before the second try; twice as long before each further one.

    With SUBTR_OFFLINE set to anything but 0, nothing is asked of the net.

    Raises (when called)
        requests.RequestException: offline, no such address, or the tries are used up.
        OSError: the disk is full or cannot be written.
    """

    def __init__(self, timeout_s: float = 30.0, tries: int = 4, wait_s: float = 0.5):
        self.timeout_s, self.tries, self.wait_s = timeout_s, tries, wait_s

    def __call__(self, url: str, output_file: str | Path, pooch: object = None) -> None:
        if os.environ.get("SUBTR_OFFLINE", "0") not in ("", "0"):
            raise requests.ConnectionError("SUBTR_OFFLINE is set")
        part = part_file(url, Path(output_file).parent)
        failed = 0
        while True:
            before = part.stat().st_size if part.exists() else 0
            try:
                self._rest(url, part, before)
                break
            except requests.HTTPError:
                raise  # no such file, or no right to it: asking again will not help
            except requests.RequestException:
                after = part.stat().st_size if part.exists() else 0
                failed = 0 if after > before else failed + 1
                if failed >= self.tries:
                    raise
                time.sleep(self.wait_s * 2 ** max(failed - 1, 0))
        os.replace(part, output_file)

    def _rest(self, url: str, part: Path, n_there: int) -> None:
        # Compressed on the way, bytes could not be counted.
        headers = {"Accept-Encoding": "identity"}
        if n_there:
            headers["Range"] = f"bytes={n_there}-"
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout_s) as response:
            if response.status_code == 416:
                # The server has no more than is there: all of it, or another file's part.
                if response.headers.get("Content-Range") == f"bytes */{n_there}":
                    return
                part.unlink()
                raise requests.ConnectionError(f"{part.name} is no part of {url}: begun anew")
            response.raise_for_status()
            resumed = response.headers.get("Content-Range", "").startswith(f"bytes {n_there}-")
            with part.open("ab" if n_there and resumed else "wb") as file:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    file.write(chunk)


def part_file(url: str, folder: Path) -> Path:
    """Where a download keeps what has come of ``url``."""
    return folder / f".{hashlib.sha256(url.encode()).hexdigest()[:16]}.part"


@contextmanager
def explained(name: str, url: str, target: Path) -> Iterator[None]:
    """Turns what goes wrong in a download by pooch into an error that says what to do.

    Raises
        StudyError: offline, no such address, or other content than expected.
        CacheError: the cache cannot be written.
    """
    try:
        yield
    except requests.RequestException as error:
        kept = " What has come is kept, and the rest is fetched next time."
        part = part_file(url, target.parent)
        raise StudyError(
            f"{name} cannot be fetched from {url} ({type(error).__name__}: {error})."
            f"{kept if part.exists() else ''} Connect to the internet, or copy the file to "
            f"{target}."
        ) from error
    except ValueError as error:
        raise StudyError(
            f"{url} gave other content than the expected SHA-256; nothing was kept. Try again, or "
            f"copy the right file to {target}."
        ) from error
    except OSError as error:
        with suppress(OSError):
            part_file(url, target.parent).unlink(missing_ok=True)
        raise CacheError(
            f"{target} cannot be written: {error.strerror or error}. Free some space there, or set "
            "SUBTR_CACHE to a folder that you can write to."
        ) from error
