"""How long does a new user wait: a fresh clone, nothing installed, and the commands of README?

Data: none for the first commands; Alice and two clips for the others, where they are. About 40
minutes on two cores, of which installation takes the most; fetches what is installed.
Expected: exit code 0, and no notebook, table, figure or system missing.
"""

import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.data import FILMS, film_file, folder_of
from benchmarks.tables import NotMeasured, Row
from subtr.experiments.results import read_results

TABLE = "make_run"
ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = {"01_exploration", "08_evaluation", "09_listening_viewing"}
NOTEBOOKS |= {"02_baseline_averaging_seed0", "03_tier1_multiscale_seed0"}
SYSTEMS = {"averaging", "tier1"}


def run(folder: Path, tests=True) -> list[Row]:
    """A row a command: seconds, exit code, and what of its results is missing."""
    with TemporaryDirectory() as place:
        clone = Path(place) / "subtr"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        rows = [made(clone, "setup")]
        its = made(clone, "run")
        rows.append(its | missing(clone, "simulated", SYSTEMS | {"PCA", "mean"}))
        if tests:
            rows.append(made(clone, "test"))
        try:
            data = folder_of("alice").parent
            films = {clip: film_file(clip) for clip, file in FILMS.items() if file}
        except NotMeasured as error:
            print(f"Only what needs no data: {error}")
            return rows
        its = made(clone, "run", data, STUDY="alice")
        rows.append(its | missing(clone, "alice", SYSTEMS | {"ridge, word rate"}))
        for film in films.values():
            its = made(clone, "run", FILM=film)
            rows.append(its | missing(clone, f"film-{film.stem}", SYSTEMS | {"mean", "nearest"}))
    return rows


def made(clone, target, data=None, **variables) -> Row:
    """Runs `make` there, with an empty cache and no data but those that are given."""
    hidden = ("SUBTR_", "VIRTUAL_ENV", "PYTHON", "OMP_", "OPENBLAS_", "MAKE", "MFLAGS")
    environment = {name: of for name, of in os.environ.items() if not name.startswith(hidden)}
    environment["SUBTR_CACHE"] = str(clone.parent / "cache")
    if data:
        environment["SUBTR_DATA"] = str(data)
    began_s = time.monotonic()
    command = ["make", target, *(f"{name}={value}" for name, value in variables.items())]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-4000:] + done.stderr[-4000:])
    said = " ".join([*command[:2], *(f"{name}={Path(of).name}" for name, of in variables.items())])
    row = {"called": said, "wall_s": time.monotonic() - began_s}
    return row | {"exit_code": done.returncode, "cores": os.cpu_count(), "missing": ""}


def missing(clone, name, systems) -> Row:
    """What of the results of a run is not there."""
    folder = clone / "runs" / "smoke" / name
    there = {file.stem for file in (folder / "notebooks").glob("*.ipynb")}
    lacks = [f"notebook {one}" for one in sorted(NOTEBOOKS - there)]
    for place in ("tables", "figures", "media"):
        if not any((folder / place).glob("*")):
            lacks.append(place)
    if "tables" not in lacks:
        found = set(read_results(folder / "tables")["system"])
        lacks += [f"system {one}" for one in sorted(systems - found)]
    return {"missing": "; ".join(lacks)}
