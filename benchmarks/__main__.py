"""``python -m benchmarks [WHAT ...]``: measures, and writes a table for each question."""

import argparse
import ast
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks.tables import NotMeasured, by_table, write_table
from subtr.decoders.hifi_gan import WeightsError
from subtr.experiments.results import check_writable
from subtr.judges.judge import JudgeMissing
from subtr.params import SettingsError, SubtrError, git_hash, nearest

# What a machine may lack; a question that needs it is skipped.
MISSING = (NotMeasured, JudgeMissing, WeightsError)


def questions() -> dict[str, str]:
    """Name -> the question: every file here that has a function ``run``, and how it begins."""
    found = {}
    for file in sorted(Path(__file__).parent.glob("*.py")):
        module = ast.parse(file.read_text(encoding="utf-8"))
        if any(isinstance(of, ast.FunctionDef) and of.name == "run" for of in module.body):
            found[file.stem] = (ast.get_docstring(module) or "").partition("\n\n")[0]
    return found


def main(arguments: list[str] | None = None) -> int:
    """Runs what is named, or all; goes on after a failure, and says at the end what failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", metavar="WHAT", help="questions; all by default")
    parser.add_argument("--list", action="store_true", help="names the questions, runs nothing")
    parser.add_argument("--runs", default="runs", help="where trained systems are kept, in bench/")
    parser.add_argument("--out", default="figures", help="where tables are written")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME=VALUE",
        help="runs a part, such as --only sizes=[128] seeds=[0]: arguments of the question's run()",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    known = questions()
    if given.list:
        for name, question in known.items():
            print(f"{name:20} {' '.join(question.split())}")
        return 0
    try:
        chosen = _chosen(given.what, known)
        options = _options(given.only)
        out, folder = Path(given.out), check_writable(Path(given.runs) / "bench").resolve()
        check_writable(out)
        modules = _checked(chosen, options)
    except SubtrError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    # Asked for once: the tables that are written are changes too.
    git, skipped, failed = git_hash(), [], []
    for name in chosen:
        print(f"\n== {name}: {' '.join(known[name].split())}", flush=True)
        command = " ".join(["python -m benchmarks", name, *_said(given.only)])
        try:
            module = modules[name] or import_module(f"benchmarks.{name}")
            rows = module.run(folder, **options)
            for table, of in by_table(rows, getattr(module, "TABLE", name)).items():
                scores = folder / table / "scores.csv"
                file = out / f"{table}.csv"
                _show(*write_table(file, of, scores, git, command, part=bool(options)))
        except MISSING as error:
            print(f"{name} is skipped: {error}")
            skipped.append(name)
        except Exception:  # the other questions are worth an answer too
            traceback.print_exc()
            failed.append(name)
    done = [name for name in chosen if name not in {*skipped, *failed}]
    for said, names in (("measured", done), ("skipped", skipped), ("failed", failed)):
        if names:
            print(f"{said:9} {' '.join(names)}")
    return 1 if failed else 0


def _chosen(asked: list[str], known: Mapping[str, str]) -> list[str]:
    for name in asked:
        if name not in known:
            raise SettingsError(f"no benchmark {name!r}{nearest(name, list(known))}")
    return asked or list(known)


def _options(only: list[str]) -> dict[str, Any]:
    found = {}
    for one in only:
        name, sign, value = one.partition("=")
        if not sign:
            raise SettingsError(f"--only {one}: expected NAME=VALUE, such as sizes=[128].")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise SettingsError(f"--only {one}: {value!r} is no YAML: {error}.") from error
    return found


def _checked(chosen: list[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Name -> its module, where options must be known to it before anything is run."""
    modules: dict[str, Any] = dict.fromkeys(chosen)
    for name in chosen if options else []:
        modules[name] = import_module(f"benchmarks.{name}")
        allowed = list(signature(modules[name].run).parameters)[1:]
        for option in options:
            if option not in allowed:
                raise SettingsError(f"{name}: no argument {option!r}{nearest(option, allowed)}")
    return modules


def _said(only: list[str]) -> list[str]:
    return ["--only", *only] if only else []


def _show(table: pd.DataFrame, file: Path) -> None:
    shown = table.drop(columns=["git", "command"]).dropna(axis=1, how="all")
    if "group" in shown:
        shown = shown[shown["group"] == ""].drop(columns="group")
    print(shown.round(4).to_string(index=False, max_rows=60, na_rep=""))
    print(f"{len(table)} rows in {file}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
