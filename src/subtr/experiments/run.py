"""``python -m subtr.experiments.run``: every notebook of a study, then the results table.

Parameters, the film and the run folder are checked before anything long begins.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from subtr.experiments.results import check_writable, is_gallery, run_folder
from subtr.params import SettingsError, SubtrError


def main(arguments: list[str] | None = None) -> int:
    """Checks, runs the workflow, and says what was made and where to look."""
    given = _parse(arguments)
    try:
        film = str(Path(given.film).expanduser().resolve()) if given.film else ""
        seeds = _checked(given, film)
    except SubtrError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    command = [sys.executable, "-m", "snakemake", "--cores", str(given.cores)]
    command += ["--quiet", "rules", "host", "--rerun-triggers", "mtime", "--rerun-incomplete"]
    command += ["--nolock", "--config", f"study={given.study}"]
    command += [f"film={film}", f"params={given.params}", f"seeds={seeds}", f"runs={given.runs}"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    code = subprocess.run(command, check=False, env=environment).returncode
    folder = run_folder(given.runs, given.params, given.study, film)
    if code:
        print(
            f"\nA notebook stopped; its message is above and in {folder}/notebooks/unfinished.\n"
            "What was finished is kept: the same command goes on from there.",
            file=sys.stderr,
        )
        return code
    _report(folder, is_gallery(given.params))
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m subtr.experiments.run", description=__doc__)
    parser.add_argument(
        "--study", default="", help="simulated (default), alice, film (default with a film), ..."
    )
    parser.add_argument("--film", default="", help="a media file, in place of the study's own")
    parser.add_argument("--params", default="smoke", help="a parameter set: smoke, full, a folder")
    parser.add_argument("--seeds", default="", help="such as 0,1,2; default: those of the study")
    parser.add_argument("--runs", default="runs", help="the folder of results")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    given.study = given.study or ("film" if given.film else "simulated")
    return given


def _checked(given: argparse.Namespace, film: str) -> str:
    """Seeds as ``0,1,2``, after every parameter file has been read and checked."""
    # Imported late: the models behind the parameters take seconds to import.
    from subtr.datasets import STUDIES
    from subtr.experiments.data import StudyParams, SystemParams
    from subtr.experiments.identifiability import identifiability_params
    from subtr.params import load_params, params_folder
    from subtr.stimulus.media import probe

    if given.study == "film" and not film:
        raise SettingsError("study = 'film' needs a film: make run FILM=path/to/film.mp4")
    if film:
        probe(film)
    folder = params_folder(given.params)
    study = load_params(StudyParams, folder / f"study_{given.study}.yaml")
    STUDIES.check(given.study, study.load)
    for file in sorted(folder.glob("system_*.yaml")):
        load_params(SystemParams, file)
    if not is_gallery(folder):
        identifiability_params(folder)
    check_writable(run_folder(given.runs, given.params, given.study, film))
    seeds = given.seeds.replace(" ", "") or ",".join(str(seed) for seed in study.seeds)
    if not all(seed.isdigit() for seed in seeds.split(",")):
        raise SettingsError(f"seeds = {given.seeds!r}: expected whole numbers such as 0,1,2.")
    return seeds


def _report(folder: Path, compared: bool = False) -> None:
    """Prints what came out: scores, or scores beside costs; and where everything lies."""
    from subtr.experiments.gallery import comparison_table, readable
    from subtr.experiments.results import read_results, results_table

    results = read_results(folder / "tables")
    table = readable(comparison_table(results)) if compared else results_table(results)
    print("\n" + table.to_string())
    print(f"\nResults table    {folder}/tables\nFigures          {folder}/figures")
    print(f"Sounds, films    {folder}/media\nNotebooks        {folder}/notebooks")
    print(f"Open them with   make lab   or   jupyter lab {folder}/notebooks")


if __name__ == "__main__":
    sys.exit(main())
