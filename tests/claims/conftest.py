"""Lets the tests here share `planted_results`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
