"""Finished blocks of a long computation on disk, from which an interrupted one goes on."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from subtr.params import SubtrError, whole_file

_JOB = "job.json"


class PartsError(SubtrError, OSError):
    """Blocks cannot be kept on disk; the message names the place and says what to do."""


class Parts:
    """Blocks of several kinds, numbered from 0, each written whole or not at all.

    Arguments
        folder: theirs alone. Blocks that it holds of another job are removed.
        job: all that the blocks depend on; plain values that JSON can write.

    Raises
        PartsError: the folder cannot be written. What is finished stays.
    """

    def __init__(self, folder: Path, job: dict):
        self.folder, text = folder, json.dumps(job, sort_keys=True, indent=1)
        job_file = folder / _JOB
        try:
            if job_file.is_file() and job_file.read_text() != text:
                shutil.rmtree(folder)
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(job_file) as part:
                part.write_text(text)
        except OSError as error:
            raise self._unwritable(error) from error

    def keep(self, kind: str, index: int, block: Shaped[np.ndarray, "..."]) -> None:
        """Writes a block; raises PartsError."""
        try:
            with whole_file(self._file(kind, index)) as part, part.open("wb") as stream:
                np.save(stream, block)
        except OSError as error:
            raise self._unwritable(error) from error

    def count(self, kind: str) -> int:
        """Blocks that are there, one after the other from 0."""
        index = 0
        while self._file(kind, index).exists():
            index += 1
        return index

    def read(self, kind: str) -> Iterator[Shaped[np.ndarray, "..."]]:
        """The blocks in order, one at a time in memory."""
        for index in range(self.count(kind)):
            yield np.load(self._file(kind, index))

    def finish(self, result: Path, out: Path) -> None:
        """Moves what was made of the blocks to its place, and removes them; raises PartsError."""
        try:
            os.replace(result, out)
        except OSError as error:
            raise self._unwritable(error) from error
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, kind: str, index: int) -> Path:
        return self.folder / f"{kind}-{index:05d}.npy"

    def _unwritable(self, error: OSError) -> PartsError:
        return PartsError(
            f"{self.folder} cannot be written: {error.strerror or error}. Free space, or choose "
            "another place for the film. What is finished is kept: the same call goes on from it."
        )
