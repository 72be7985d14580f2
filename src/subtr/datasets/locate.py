"""Finds data on this machine, or fetches a file whose address and digest are known."""

import os
from pathlib import Path

import pooch

from subtr.datasets.download import ResumableDownloader, explained
from subtr.datasets.open_studies import OPEN_STUDIES, fetch_study
from subtr.params import StudyError, SubtrError
from subtr.stimulus.cache import cache_dir

# Where a person gets what may not, or need not, come with the package.
_SOURCES = {
    "alice": (
        "Get alice_data_shared and alice_stim_shared (CC BY 4.0) from their authors, or from "
        "github.com/daandouwe/Thesis at commit ec54039b, folder brain-data/syntax-in-rnng"
    ),
    "sherlock": (
        "Get roicorr and Sherlock_Segments_1000_NN_2017.xlsx from their authors, who state no "
        "licence: use and cite them (Chen et al. 2017), never pass them on. They are also in "
        "github.com/Summer-MIND/mind_2018, folder tutorials/sherlock_nifti_kit_v2_withdata"
    ),
    "speech/hifi_6097": (
        "Give it 16-bit recordings and a manifest.json, with audio_filepath and text on each line"
    ),
}


def find_data(name: str) -> Path:
    """The folder of the data called ``name``: in $SUBTR_DATA, else in the cache's ``data``.

    An open study (see ``open_studies``) that is in neither is fetched into the cache.

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
    failed, cause = "", None
    if name in OPEN_STUDIES:
        try:
            return fetch_study(name)
        except SubtrError as error:
            failed, cause = f" They could not be fetched: {error}", error
    looked = " and ".join(str(root / name) for root in roots)
    source = _SOURCES.get(name, "Get them from their authors")
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
        downloader = ResumableDownloader()
        file = pooch.retrieve(url, f"sha256:{sha256}", name, folder, downloader=downloader)
    return Path(file)
