"""Arrays kept on disk, keyed by what they were computed from; whole or not there at all."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from jaxtyping import Shaped

from subtr.params import SubtrError, whole_file

# Raise it when what is computed from the same file and settings changes.
FORMAT = 1


class CacheError(SubtrError, OSError):
    """The cache cannot be written; the message says where and what to do."""


def cache_dir() -> Path:
    """The folder of the cache: SUBTR_CACHE, or the user's cache folder."""
    return Path(os.environ.get("SUBTR_CACHE") or platformdirs.user_cache_dir("subtr"))


def cached_array(
    name: str,
    path: Path | str | None,
    settings: dict[str, Any],
    compute: Callable[[], Iterable[Shaped[np.ndarray, "..."]]],
) -> Shaped[np.ndarray, "..."]:
    """An array from the cache, computed first where it is not there.

    Arguments
        name: what the array is, such as "mel"; begins the name of the file.
        path: the file it is computed from, known by its content, so that moving or renaming it
            costs nothing; None when it depends on the settings alone.
        settings: all else that it depends on; plain values that JSON can write.
        compute: gives the array as a stream of blocks along the first axis, so that it never
            needs to be in memory as a whole.

    Returns
        The array, read-only and read from disk as it is used.

    Raises
        CacheError: the disk is full or the folder cannot be written. What other arrays the cache
            holds stays as it was, and nothing half-written remains; nor after Ctrl-C.
    """
    content = file_digest(path) if path is not None else None
    key = json.dumps([FORMAT, name, content, settings], sort_keys=True)
    file = cache_dir() / f"{name}-{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}.npy"
    if file.exists():
        # A file that another program damaged is computed again.
        with suppress(ValueError, EOFError):
            return np.load(file, mmap_mode="r")
    return write_array(file, compute())


def write_array(
    file: Path, blocks: Iterable[Shaped[np.ndarray, "..."]]
) -> Shaped[np.ndarray, "..."]:
    """Writes blocks along the first axis to a .npy file; gives it back as read from disk.

    Raises
        CacheError: see `cached_array`.
    """
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as part, part.open("wb") as stream:
            length, first = 0, None
            for block in blocks:
                if first is None:
                    first = block
                    _write_header(stream, 0, first)
                if block.shape[1:] != first.shape[1:] or block.dtype != first.dtype:
                    raise ValueError(f"block of {block.shape} {block.dtype} after {first.shape}")
                stream.write(np.ascontiguousarray(block).data)
                length += len(block)
            if first is None:
                raise ValueError(f"{file}: no blocks to write")
            stream.seek(0)
            _write_header(stream, length, first)
            stream.flush()
            os.fsync(stream.fileno())
    return np.load(file, mmap_mode="r")


def file_digest(path: Path | str) -> str:
    """BLAKE2 digest of a file's content; hashed once as long as size and date stay the same."""
    path = Path(path).resolve()
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20)).hexdigest()


def _write_header(part, length: int, block: np.ndarray):
    # NumPy leaves room for the first axis to grow, so the final header fits over the first.
    header = {
        "descr": np.lib.format.dtype_to_descr(block.dtype),
        "fortran_order": False,
        "shape": (length, *block.shape[1:]),
    }
    np.lib.format.write_array_header_1_0(part, header)


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Turns what goes wrong in writing to the cache into a CacheError that says what to do."""
    try:
        yield
    except SubtrError:
        raise
    except OSError as error:
        raise CacheError(
            f"{file} cannot be written: {error.strerror or error}. Free some space there, or set "
            "SUBTR_CACHE to a folder that you can write to."
        ) from error
