"""Studies that can be fetched file by file, by address and SHA-256, from where they are published.

``registries/<study>.txt`` lists the files: name, SHA-256, address. `write_registry` makes it from
files that are there, so no digest is typed in.
"""

import hashlib
import os
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import pooch
from tqdm.auto import tqdm

from subtr.datasets.download import ResumableDownloader, explained
from subtr.params import SettingsError
from subtr.stimulus.cache import cache_dir


@dataclass(frozen=True)
class OpenStudy:
    """Where a study is published, and on which terms.

    Arguments
        cite: what those who use it shall cite.
        licence: as its authors state it.
    """

    cite: str
    licence: str


OPEN_STUDIES = {
    "alice": OpenStudy(
        cite="Brennan, Stabler, Van Wagenen, Luh and Hale 2016, Brain and Language 157-158",
        licence="CC BY 4.0",
    ),
    "sherlock": OpenStudy(
        cite="Chen, Leong, Honey, Yong, Norman and Hasson 2017, Nature Neuroscience 20",
        licence="none stated: use it, cite it, never redistribute it",
    ),
}


def fetch_study(name: str, downloader: ResumableDownloader | None = None) -> Path:
    """All files of an open study, in the cache's ``data``; what is there already stays.

    The folder takes its name when it is complete, so that half of it is never taken for the study;
    a fetch that was interrupted goes on where it was.

    Arguments
        name: a name in ``OPEN_STUDIES``.
        downloader: see `ResumableDownloader`.

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
                store.fetch(one, downloader=downloader or ResumableDownloader())
    with explained(name, "", done):
        os.replace(growing, done)
    return done


def registry_file(name: str):
    """The list of a study's files, in pooch's format."""
    return files("subtr.datasets").joinpath("registries", f"{name}.txt")


def write_registry(folder: Path, address_of: dict[str, str], file: Path) -> None:
    """Writes a registry of files that lie in ``folder``, with their SHA-256.

    Arguments
        address_of: name, relative to the folder -> address of the same content.
        file: where the registry goes.
    """
    lines = []
    for name, address in sorted(address_of.items()):
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        lines.append(f"{name} {digest} {address}\n")
    file.write_text("".join(lines), encoding="utf-8")
