"""Where data are: found in a folder, or fetched by address and digest."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import pooch
import requests
from tqdm.auto import tqdm

from subtr.params import SettingsError, StudyError, SubtrError
from subtr.stimulus.cache import cache_dir, writing

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
        headers |= {"Range": f"bytes={n_there}-"} if n_there else {}
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
    part = part_file(url, target.parent)
    with writing(target):
        try:
            yield
        except requests.RequestException as error:
            kept = " What has come is kept, and the rest is fetched next time."
            raise StudyError(
                f"{name} cannot be fetched from {url} ({type(error).__name__}: {error})."
                f"{kept if part.exists() else ''} Connect to the internet, or copy the file to "
                f"{target}."
            ) from error
        except ValueError as error:
            raise StudyError(
                f"{url} gave other content than the expected SHA-256; nothing was kept. Try again, "
                f"or copy the right file to {target}."
            ) from error
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise


# Studies that can be fetched file by file, by address and SHA-256, from where they are published:
# ``registries/<study>.txt`` lists name, SHA-256 and address of each file.


@dataclass(frozen=True)
class OpenStudy:
    """Where a study is published, and on which terms.

    Arguments
        cite: what those who use it shall cite.
        licence: as its authors state it.
        source: where a person gets its files.
    """

    cite: str
    licence: str
    source: str


OPEN_STUDIES = {
    "alice": OpenStudy(
        cite="Brennan, Stabler, Van Wagenen, Luh and Hale 2016, Brain and Language 157-158",
        licence="CC BY 4.0",
        source="Get alice_data_shared and alice_stim_shared (CC BY 4.0) from their authors, or "
        "from github.com/daandouwe/Thesis at commit ec54039b, folder brain-data/syntax-in-rnng",
    ),
    "sherlock": OpenStudy(
        cite="Chen, Leong, Honey, Yong, Norman and Hasson 2017, Nature Neuroscience 20",
        licence="none stated: use it, cite it, never redistribute it",
        source="Get roicorr and Sherlock_Segments_1000_NN_2017.xlsx from their authors, who state "
        "no licence: use and cite them (Chen et al. 2017), never pass them on. They are also in "
        "github.com/Summer-MIND/mind_2018, folder tutorials/sherlock_nifti_kit_v2_withdata",
    ),
}


def fetch_study(name: str) -> Path:
    """All files of an open study, in the cache's ``data``; what is there already stays.

    The folder takes its name when it is complete, so that half of it is never taken for the study;
    a fetch that was interrupted goes on where it was.

    Arguments
        name: a name in ``OPEN_STUDIES``.

    Raises
        SettingsError: no such study.
        StudyError: offline, or other content than when the study was registered.
        CacheError: the cache cannot be written.
    """
    if name not in OPEN_STUDIES:
        raise SettingsError(f"{name!r}: only {', '.join(OPEN_STUDIES)} can be fetched.")
    done = cache_dir() / "data" / name
    if done.is_dir():
        return done
    growing = done.with_name(f".{name}")
    store = pooch.create(path=growing, base_url="", registry=None)
    with as_file(registry_file(name)) as file:
        store.load_registry(file)
    with tqdm(store.registry_files, desc=name, unit="file", delay=2, disable=None) as bar:
        for one in bar:
            with explained(f"{name}: {one}", store.urls[one], done / one):
                store.fetch(one, downloader=ResumableDownloader())
    with explained(name, "", done):
        os.replace(growing, done)
    return done


def registry_file(name: str):
    """The list of a study's files, in pooch's format."""
    return files("subtr.datasets").joinpath("registries", f"{name}.txt")


def find_data(name: str) -> Path:
    """The folder of the data called ``name``: in $SUBTR_DATA, else in the cache's ``data``.

    An open study (see ``OPEN_STUDIES``) that is in neither is fetched into the cache.

    Arguments
        name: a folder such as "alice" or "speech/hifi_6097".

    Raises
        StudyError: it is in neither and cannot be fetched; the message says where it can be had.
    """
    own = os.environ.get("SUBTR_DATA")
    roots = [Path(own).expanduser()] if own else []
    roots.append(cache_dir() / "data")
    for root in roots:
        if (root / name).is_dir():
            return root / name
    failed, cause, source = "", None, "Get them from their authors"
    if name in OPEN_STUDIES:
        source = OPEN_STUDIES[name].source
        try:
            return fetch_study(name)
        except SubtrError as error:
            failed, cause = f" They could not be fetched: {error}", error
    looked = " and ".join(str(root / name) for root in roots)
    raise StudyError(
        f"The data of {name} are missing: no folder {looked}. {source}; put them into a folder "
        f"{name} and set SUBTR_DATA to the folder that holds it.{failed}"
    ) from cause


def fetch(url: str, sha256: str, name: str) -> Path:
    """A file from the internet, kept in the cache; there already, nothing is asked of the net.

    Arguments
        url: address of one file, http or https.
        sha256: digest of its content, 64 hexadecimal digits.
        name: what the file is called in the cache's ``data``.

    Raises
        StudyError: offline, no such address, or other content than expected.
        CacheError: the cache cannot be written.
    """
    folder = cache_dir() / "data"
    with explained(name, url, folder / name):
        digest, downloader = f"sha256:{sha256}", ResumableDownloader()
        return Path(pooch.retrieve(url, digest, name, folder, downloader=downloader))
