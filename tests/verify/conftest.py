"""Each verification leaves a tidy CSV in the runs folder."""

import os
from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def measured(request):
    """A list of rows; at the end of the module they become $SUBTR_RUNS/verify/<name>.csv."""
    rows: list[dict] = []
    yield rows
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    if rows:
        folder = Path(os.environ.get("SUBTR_RUNS") or "runs") / "verify"
        folder.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
