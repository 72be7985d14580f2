"""Checks every annotated shape at run time, and says where real data lie."""

import os
from pathlib import Path

# Tests compute little at a time, for which threads cost more than they gain; must come before
# NumPy is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from jaxtyping import install_import_hook

# Must come before the packages are first imported.
_hook = install_import_hook(["subtr", "benchmarks"], "beartype.beartype")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data; the test is skipped where it is absent."""
    folder = os.environ.get("SUBTR_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real data absent: set SUBTR_DATA to their folder")
    return Path(folder).resolve()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Tests never touch the user's cache, and share one among themselves."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all processes of this run
    monkeypatch.setenv("SUBTR_CACHE", str(folder / "cache"))


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """Tests never fetch data from the internet."""
    monkeypatch.setenv("SUBTR_OFFLINE", "1")


def pytest_collection_modifyitems(items):
    """The longest file comes first, so that processes side by side end together."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")
