"""Files that are there as a whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """A place beside ``file`` to write to, which takes its name when the block ends without error.

    Otherwise, Ctrl-C included, what was written vanishes and ``file`` stays as it was. An OSError
    of the writing is left to the caller, who knows the remedy.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, file)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
