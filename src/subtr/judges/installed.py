"""Where an installed package lies, of which only the data are wanted."""

from importlib.util import find_spec
from pathlib import Path


def package_folder(module: str) -> Path | None:
    """The folder of an installed package, which is not imported; None where there is none."""
    found = find_spec(module)
    return Path(found.origin).parent if found and found.origin else None
