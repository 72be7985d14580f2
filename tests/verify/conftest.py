"""Each verification leaves a tidy CSV in the runs folder."""

import os
from pathlib import Path

import pandas as pd
import pytest

from subtr.judges import JudgeMissing, load_judge
from subtr.results import write_results
from subtr.vocoders import HIFI_GAN_MEL, GriffinLim


@pytest.fixture(scope="session")
def verify_folder() -> Path:
    """$SUBTR_RUNS/verify."""
    return (Path(os.environ.get("SUBTR_RUNS") or "runs") / "verify").resolve()


@pytest.fixture(scope="module")
def measured(request, verify_folder):
    """A list of rows; at the end of the module they become verify/<name>.csv."""
    rows: list[dict] = []
    yield rows
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    if rows:
        verify_folder.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_csv(verify_folder / f"{name}.csv", index=False)


@pytest.fixture
def scored_of(verify_folder):
    """Writes rows of a results table to verify/<name>/scores.csv; gives the file."""

    def keep(name, rows):
        return write_results(verify_folder / name / "scores.csv", rows)

    return keep


@pytest.fixture(scope="session")
def vocoder_of():
    """The vocoder that speech is judged through; skipped where a judge, by name, is missing.

    Griffin-Lim at 129 frames a TR: of originals, more is understood through it than HiFi-GAN.
    """

    def load(*judges):
        try:
            for name in judges:
                load_judge(name)
        except JudgeMissing as error:
            pytest.skip(str(error))
        return GriffinLim(HIFI_GAN_MEL)

    return load
