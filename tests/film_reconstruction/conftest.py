"""Lets the tests here share `tiny_films`, and those that make media files."""

import sys
from pathlib import Path

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "stimulus"):
    sys.path.insert(0, str(folder))
