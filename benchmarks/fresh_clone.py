"""A new user's first hour: a fresh clone, nothing installed, and the commands of README."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from subtr.results import read_results

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = {"01_exploration", "08_evaluation", "09_listening_viewing"}
NOTEBOOKS |= {"02_baseline_averaging_seed0", "03_tier1_multiscale_seed0"}
FILMS = ("films/tears_of_steel_battle_70s_800x332.webm", "films/bbb_30s_854x480_5.1.mp4")

pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What is committed, in a folder of its own, with an empty cache and no data."""
    folder = tmp_path_factory.mktemp("fresh") / "subtr"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def make(clone, target, measured, data=None, **variables):
    hidden = ("SUBTR_", "VIRTUAL_ENV", "PYTHON", "OMP_", "OPENBLAS_", "MAKE", "MFLAGS")
    environment = {name: of for name, of in os.environ.items() if not name.startswith(hidden)}
    environment["SUBTR_CACHE"] = str(clone.parent / "cache")
    if data:
        environment["SUBTR_DATA"] = str(data)
    began_s = time.monotonic()
    command = ["make", target, *(f"{name}={value}" for name, value in variables.items())]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    row = {"command": " ".join([*command[:2], *variables]), "wall_s": time.monotonic() - began_s}
    measured.append(row | {"exit code": done.returncode, "cores": os.cpu_count()})
    print(done.stdout[-4000:])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def check_made(clone, run, said, systems):
    folder = clone / run
    made = {file.stem for file in (folder / "notebooks").glob("*.ipynb")}
    assert made == NOTEBOOKS
    assert systems <= set(read_results(folder / "tables")["system"])
    for place in ("tables", "figures", "media", "notebooks"):
        assert list((folder / place).iterdir())
        assert f"{run}/{place}" in said


def test_a_fresh_clone_runs_every_notebook(clone, measured):
    make(clone, "setup", measured)
    said = make(clone, "run", measured)
    check_made(clone, "runs/smoke/simulated", said, {"averaging", "tier1", "PCA", "mean"})


def test_a_fresh_clone_passes_its_tests(clone, measured):
    make(clone, "test", measured)


def test_alice_is_one_word_away(clone, data_dir, measured):
    said = make(clone, "run", measured, data_dir, STUDY="alice")
    check_made(clone, "runs/smoke/alice", said, {"averaging", "tier1", "ridge, word rate"})


@pytest.mark.parametrize("film", FILMS)
def test_any_film_is_one_path_away(clone, data_dir, measured, film):
    said = make(clone, "run", measured, FILM=data_dir / film)
    run = f"runs/smoke/film-{Path(film).stem}"
    check_made(clone, run, said, {"averaging", "tier1", "mean", "nearest"})
